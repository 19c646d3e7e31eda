"""The paragraphs of a page, put in the order of what the reader looks for."""

from __future__ import annotations

import re

from kos.harness.ranking import scores

REST = "[the rest of the page]"
_BLANK_LINES = re.compile(r"\n[ \t]*\n")
# Items and table rows belong to the line they hang on.
_HANGING = ("-", "*", "|", "•")


def paragraphs(text: str) -> list[str]:
    """The paragraphs of ``text``, in order: at blank lines, or where it has none, at lines."""
    if _BLANK_LINES.search(text):
        return [part.strip() for part in _BLANK_LINES.split(text) if part.strip()]
    found: list[str] = []
    for line in filter(str.strip, text.splitlines()):
        if found and line.lstrip().startswith(_HANGING):
            found[-1] += f"\n{line}"
        else:
            found.append(line)
    return found


def put_first(text: str, focus: str) -> str:
    """``text`` with the paragraphs nearest to ``focus`` (BM25) first and the others after them."""
    parts = paragraphs(text)
    ranked = [(-score, place) for place, score in enumerate(scores(focus, parts)) if score > 0]
    first = [place for _, place in sorted(ranked)]
    if not first:
        return text
    rest = [part for place, part in enumerate(parts) if place not in set(first)]
    chosen = [parts[place] for place in first]
    return "\n\n".join([*chosen, REST, *rest] if rest else chosen)
