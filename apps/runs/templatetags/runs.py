"""Small words of the runs' pages."""

from __future__ import annotations

from django import template

from apps.runs.figures import colours
from apps.runs.start import drawing

register = template.Library()


@register.filter
def ordinal(number: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``11th``."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"


register.filter("slot", colours.slot)
register.simple_tag(drawing.knob)
