"""Which link of the rail stands for the page."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def is_under(path: str, link: str) -> bool:
    """Whether ``path`` is the page at ``link`` or below it; the home page has none below."""
    return path == link if link == "/" else path.startswith(link)
