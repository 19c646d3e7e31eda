"""Numbers as people write them."""

from __future__ import annotations

from django import template

MINUS = "\N{MINUS SIGN}"
register = template.Library()


@register.filter
def signed(value: float) -> str:
    """Points with their sign, ``+5`` or ``+2.5``, and a true minus below zero."""
    return f"{value:+g}".replace("-", MINUS)
