"""Markdown of a model as HTML that may stand in a page. What is not allowed is taken out.

Two fences: the parser makes no raw HTML, no images and no script links; then an allow-list
cleans what it made.
"""

from __future__ import annotations

from typing import NamedTuple

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

ALLOWED = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code"),
    *("strong", "em", "s", "sup", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto"}
# The page has an h1 and h2 of its own.
HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}


class Split(NamedTuple):
    """Growing Markdown: whole blocks, and the last one, which may still change."""

    finished: str
    tail: str


def render(text: str) -> SafeString:
    """Sanitised HTML of a whole text, or of finished blocks."""
    html = nh3.clean(
        _parser.render(text),
        tags=ALLOWED,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(html)  # noqa: S308  # cleaned by the allow-list above


def split(text: str) -> Split:
    """Part ``text`` before its last block; joined, the two are ``text`` again."""
    starts = [token.map[0] for token in _parser.parse(text) if token.level == 0 and token.map]
    if not starts or starts[-1] == 0:
        return Split("", text)
    lines = text.split("\n")
    finished = "\n".join(lines[: starts[-1]]) + "\n"
    return Split(finished, text[len(finished) :])


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        token.tag = HEADINGS.get(token.tag, token.tag)


_parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_parser.disable("image")
_parser.core.ruler.push("lower_headings", _lower_headings)
