"""Numbers of machines as the workers' page says them."""

from __future__ import annotations

from datetime import timedelta

from django import template

register = template.Library()


@register.filter
def ago(age: timedelta) -> str:
    """A time span in its largest unit: 34 s, 3 min, 2 h, 5 d."""
    seconds = max(0, int(age.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@register.filter
def gib(size: float | None) -> str:
    """Bytes as GiB, without the unit."""
    return f"{(size or 0) / 1024**3:,.1f}"


@register.simple_tag
def percent_of(whole: float | None, percent: int) -> int:
    """``percent`` of ``whole``, for where a meter turns to a warning."""
    return int((whole or 0) * percent / 100)
