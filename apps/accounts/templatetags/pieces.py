"""Icons, states, paths and cut texts, which long lists have by the hundred.

Built in: no template loads them. A template of its own costs ten times as much for each.
"""

from __future__ import annotations

from functools import cache, lru_cache

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

# A state's colour and sign; any other waits.
SHOWN = {
    "running": ("run", "●"),
    "ready": ("ok", "●"),
    "done": ("ok", "✓"),
    "failed": ("bad", "✗"),
    "cancelled": ("idle", "■"),
    "stopped": ("idle", "■"),
    "stopping": ("warn", "◐"),
    "starting": ("warn", "◐"),
    "lost": ("warn", "△"),
}


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """An icon of ``static/icons.svg``; it says nothing to a screen reader."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>',
        static("icons.svg"),
        name,
    )


@register.simple_tag
@cache
def pill(status: str) -> SafeString:
    """The state of a run, a stage or a deployment."""
    kind, sign = SHOWN.get(status, ("idle", "○"))
    return format_html(
        '<span class="pill {}"><i aria-hidden="true">{}</i>{}</span>', kind, sign, status
    )


@register.simple_tag
@lru_cache(maxsize=10_000)
def to(page: str, pk: int) -> str:
    """The path of the page of a row. ``{% url %}`` looks for the pattern each time."""
    return reverse(page, args=[pk])


@register.filter
def short(text: object, length: int) -> str:
    """``text``, cut to so many characters. ``truncatechars`` asks for a translation each time."""
    whole = str(text)
    return whole if len(whole) <= length else f"{whole[: length - 1]}…"
