"""Markdown of a model as HTML that may stand in a page. What is not allowed is taken out.

Two fences: the parser makes no raw HTML, no images and no script links; then an allow-list
cleans what it made. Citations become links only after both, from ids that Kos itself gave.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from html import escape
from typing import Any, NamedTuple

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

ALLOWED = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code"),
    *("strong", "em", "s", "sup", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
# Without "*" the cleaner lets every element keep a title.
ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto"}
# The page has an h1 and h2 of its own.
HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}

# ``[S3]``, and several in one pair of brackets: the form that kos.harness.citations checks.
CITATION = re.compile(r"\[(S\d{1,6}(?:\s*[,;]\s*S?\d{1,6})*)\]")
_TAG = re.compile(r"(<[^>\"]*(?:\"[^\"]*\"[^>\"]*)*>)")
# Inside these a bracket is code, or the text of a link.
_CLOSED = re.compile(r"<(/?)(a|code|pre)\b")


class Split(NamedTuple):
    """Growing Markdown: whole blocks, and the last one, which may still change."""

    finished: str
    tail: str


class Cited(NamedTuple):
    """The sources an answer may cite: their ids, and the address that shows one's passage."""

    ids: Collection[str]
    address: Callable[[str], str]


def render(text: str, cited: Cited | None = None) -> SafeString:
    """Sanitised HTML of a whole text, or of finished blocks, with its citations as links."""
    html = nh3.clean(
        _parser.render(text),
        tags=ALLOWED,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )
    if cited is not None:
        html = _cite(html, cited)
    return mark_safe(html)  # noqa: S308  # cleaned by the allow-list above


def split(text: str) -> Split:
    """Part ``text`` before its last block; joined, the two are ``text`` again."""
    starts = [token.map[0] for token in _parser.parse(text) if token.level == 0 and token.map]
    if not starts or starts[-1] == 0:
        return Split("", text)
    lines = text.split("\n")
    finished = "\n".join(lines[: starts[-1]]) + "\n"
    return Split(finished, text[len(finished) :])


def citations(text: str) -> list[str]:
    """The ids that ``text`` cites, each once, in order."""
    found = [name for group in CITATION.findall(text) for name in _names(group)]
    return list(dict.fromkeys(found))


def _cite(html: str, cited: Cited) -> str:
    """Put links for citations into the text between the tags of clean HTML."""
    parts = _TAG.split(html)
    depth = 0
    for place, part in enumerate(parts):
        if place % 2:
            if closed := _CLOSED.match(part):
                depth += -1 if closed[1] else 1
        elif not depth:
            parts[place] = CITATION.sub(lambda match: _chips(match[1], cited), part)
    return "".join(parts)


def _chips(group: str, cited: Cited) -> str:
    return "".join(_chip(name, cited) for name in _names(group))


def _names(group: str) -> list[str]:
    return [f"S{int(number)}" for number in re.findall(r"\d+", group)]


def _chip(name: str, cited: Cited) -> str:
    if name not in cited.ids:
        return (
            f'<span class="cite unknown" title="Nothing was retrieved under this id.">{name}?'
            '<span class="sr"> was not retrieved</span></span>'
        )
    return (
        f'<a class="cite" href="{escape(cited.address(name))}" data-source>'
        f'<span class="sr">Source </span>{name}</a>'
    )


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        token.tag = HEADINGS.get(token.tag, token.tag)


def _is_whole(url: str) -> bool:
    """Not ``/tokens/`` nor ``//evil.example``: a model has no business with our own pages."""
    return url.partition(":")[0].lower() in SCHEMES


def _name_image(renderer: Any, tokens: Sequence[Token], place: int, *rest: Any) -> str:
    """An image is fetched by nobody: its words stand for it."""
    return escape(f"[image: {tokens[place].content or 'without words'}]")


_parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
# Without link definitions a text cannot turn ``[S3]`` into an address of its own choice.
_parser.disable("reference")
_parser.core.ruler.push("lower_headings", _lower_headings)
_parser.add_render_rule("image", _name_image)
_parser.validateLink = _is_whole  # type: ignore[method-assign]
