"""Which link of the rail stands for the page."""

from __future__ import annotations

from django import template

register = template.Library()

# Pages with a link of their own below another link's address.
APART = {
    "/review/": ("/review/judges/",),
    "/runs/": ("/runs/designer/", "/runs/presets/"),
}


@register.filter
def is_under(path: str, link: str) -> bool:
    """Whether ``path`` is the page at ``link`` or below it; the home page has none below."""
    if link == "/":
        return path == link
    return path.startswith(link) and not path.startswith(APART.get(link, ("\0",)))
