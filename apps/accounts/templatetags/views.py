"""The saved views of a list, for the bar above it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django import template

from apps.accounts import saved

register = template.Library()


class Shown(NamedTuple):
    """The tabs, and the list as it is now, as a view would keep it."""

    tabs: list[saved.Tab]
    here: str


@register.simple_tag(takes_context=True)
def saved_views(context: dict[str, Any], page: str, query: str | None = None) -> Shown:
    """The views of the list ``page``; ``query`` is what is shown, by default the address."""
    request = context["request"]
    here = saved.plain(query if isinstance(query, str) else request.GET.urlencode())
    return Shown(saved.tabs(request.user, page, here), here)
