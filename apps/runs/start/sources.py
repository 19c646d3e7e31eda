"""What a part of a form is and where it comes from, read from the docstring of its class."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import NamedTuple

from pydantic import BaseModel

ARXIV = re.compile(r"\barXiv:\s?(\d{4}\.\d{4,5})")


class Said(NamedTuple):
    """A piece of text; ``url`` leads to the paper that it names."""

    text: str
    url: str = ""


class About(NamedTuple):
    """The first line, the paragraphs after it, and the sources that they name."""

    label: str
    paragraphs: list[str]
    sources: list[list[Said]]

    @property
    def says_more(self) -> bool:
        return bool(self.paragraphs or self.sources)


@cache
def about(schema: type[BaseModel]) -> About:
    """What the docstring of ``schema`` says."""
    # Its own, not an inherited one.
    text = inspect.cleandoc(schema.__doc__ or "").replace("``", "")
    first, _, rest = text.partition("\n")
    paragraphs, sources = [], []
    for paragraph in filter(None, (" ".join(one.split()) for one in rest.split("\n\n"))):
        told, _, source = paragraph.partition("Source:")
        paragraphs += [told.strip()] if told.strip() else []
        sources += [linked(source.strip())] if source.strip() else []
    return About(first, paragraphs, sources)


def linked(text: str) -> list[Said]:
    """``text`` in pieces, those that name a paper with its address."""
    pieces, end = [], 0
    for match in ARXIV.finditer(text):
        pieces.append(Said(text[end : match.start()]))
        pieces.append(Said(match[0], f"https://arxiv.org/abs/{match[1]}"))
        end = match.end()
    return [piece for piece in (*pieces, Said(text[end:])) if piece.text]
