"""Numbers as people write them."""

from __future__ import annotations

import math
from datetime import datetime

from django import template
from django.utils import timezone

MINUS = "\N{MINUS SIGN}"
register = template.Library()


@register.filter
def signed(value: float) -> str:
    """Points with their sign, ``+5`` or ``+2.5``, and a true minus below zero."""
    return f"{value:+g}".replace("-", MINUS)


@register.filter
def wait(until: datetime) -> str:
    """How long it is until then: ``14 seconds``, ``2 minutes``."""
    seconds = max(1, math.ceil((until - timezone.now()).total_seconds()))
    if seconds < 120:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    return f"{math.ceil(seconds / 60)} minutes"
