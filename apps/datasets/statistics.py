"""What a version holds, in counts.

``tally`` reads tasks as JSON once, when the version is made, and its result is kept with the
version: a version never changes, so its pages count nothing. ``present`` places the numbers for
a page, as bars of an SVG with the table they were drawn from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from apps.datasets.models import DatasetVersion

FORMAT = 1
BAR_WIDTH, GAP, HEIGHT, ABOVE = 16, 4, 90, 14
CHAR = 6  # of the labels, which are 10 px high
MOST_BARS = 24
MOST_NAMES = 40
SHOWN_CELLS = 60
# Lower ends of the bins of prompt length, in words.
LENGTHS = (0, 10, 25, 50, 100, 200, 400, 800, 1600, 3200)
SPLITS = ("train", "validation", "test")
MINUS = "\N{MINUS SIGN}"
Pairs = Sequence[tuple[float, int]]


class Bar(NamedTuple):
    """One bar of a histogram, placed for SVG."""

    x: float
    y: float
    height: float
    middle: float
    label: str
    num: int
    is_negative: bool


class Histogram(NamedTuple):
    """Bars with the title they stand under and the width of their drawing."""

    title: str
    note: str
    head: str
    bars: list[Bar]
    width: float


def facts_of(version: DatasetVersion) -> dict[str, Any]:
    """The version's counts, made now where an older Kos has not kept them."""
    if version.facts.get("format") != FORMAT:
        rows = version.examples.order_by().values_list("task", flat=True)
        version.facts = tally(rows.iterator(chunk_size=500))
        version.num_examples = version.facts["num_examples"]
        version.num_items = version.facts["num_items"]
        version.save(update_fields=["facts", "num_examples", "num_items"])
    return dict(version.facts)


def tally(tasks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts over tasks as JSON (``RubricTask`` without its defaults), as JSON."""
    counts: dict[str, Counter[Any]] = {
        name: Counter()
        for name in ("points", "items", "lengths", "axes", "tags", "topics", "cells", "decided")
    }
    for task in tasks:
        _count_prompt(task, counts)
        for item in task.get("rubric", ()):
            _count_item(item, counts)
    decided, points = counts["decided"], counts["points"]
    return {
        "format": FORMAT,
        "num_examples": sum(counts["items"].values()),
        "num_items": sum(points.values()),
        "num_negative": sum(num for value, num in points.items() if value < 0),
        **{f"num_{name}": decided[name] for name in DECIDED},
        **{name: sorted(counts[name].items()) for name in ("points", "items", "lengths")},
        **{name: counts[name].most_common(MOST_NAMES) for name in ("axes", "tags", "topics")},
        "cells": [[*cell, num] for cell, num in sorted(counts["cells"].items())],
    }


DECIDED = ("checked", "judged", "checkpoints", "verified", "referenced")


def _count_prompt(task: Mapping[str, Any], counts: dict[str, Counter[Any]]) -> None:
    counts["items"][len(task.get("rubric", ()))] += 1
    said = (turn["content"] for turn in task["messages"] if turn["role"] == "user")
    num_words = sum(len(text.split()) for text in said)
    counts["lengths"][max(low for low in LENGTHS if low <= num_words)] += 1
    counts["topics"].update(task.get("tags", ()))
    names = ("split", "use_case", "difficulty", "specialty")
    defaults = ("train", "other", "other", "")
    cell = tuple(task.get(name, value) for name, value in zip(names, defaults, strict=True))
    counts["cells"][cell] += 1
    counts["decided"]["verified"] += bool(task.get("verifier"))
    counts["decided"]["referenced"] += bool(task.get("reference"))


def _count_item(item: Mapping[str, Any], counts: dict[str, Counter[Any]]) -> None:
    counts["points"][round(item["points"], 2)] += 1
    for tag in item.get("tags", ()):
        family, _, value = tag.partition(":")
        counts["axes" if family == "axis" else "tags"][value if family == "axis" else tag] += 1
    kind = "checked" if item.get("check") else "judged"
    counts["decided"]["checkpoints" if item.get("checkpoint") else kind] += 1


def present(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The counts for a page: histograms, named counts, and the tables of slices."""
    num_items, cells = facts["num_items"], facts["cells"]
    return {
        **{name: value for name, value in facts.items() if name.startswith("num_")},
        "share_negative": 100 * facts["num_negative"] / num_items if num_items else 0,
        "items_per_prompt": num_items / facts["num_examples"] if facts["num_examples"] else 0,
        "histograms": [
            histogram("Points of the items", facts["points"], note="below zero: a fault"),
            histogram("Items per prompt", facts["items"], head="Items", is_signed=False),
            lengths(facts["lengths"]),
        ],
        "named": [
            (title, facts[name], facts[name][0][1])
            for name, title in (
                ("axes", "Axes of the items"),
                ("tags", "Tags of the items"),
                ("topics", "Tags of the prompts"),
            )
            if facts[name]
        ],
        "cells": by_use(cells)[:SHOWN_CELLS],
        "balance": balance(cells),
    }


def histogram(
    title: str, pairs: Pairs, *, note: str = "", head: str = "Points", is_signed: bool = True
) -> Histogram:
    """One bar a value, lowest first; neighbours share a bar where there are too many values."""
    binned = _binned(pairs)
    labels = [_signed(low) if is_signed else f"{low:g}" for low, _, _ in binned]
    for place, (low, high, _) in enumerate(binned):
        if high != low:
            labels[place] += f" to {_signed(high) if is_signed else f'{high:g}'}"
    return _drawn(title, note, head, labels, [(low, num) for low, _, num in binned])


def lengths(pairs: Pairs) -> Histogram:
    """Prompt lengths, by bins that double."""
    known = dict(pairs)
    last = max(known, default=0)
    shown = [low for low in LENGTHS if low <= last]
    labels = [f"{low}+" for low in shown]
    rows = [(float(low), known.get(low, 0)) for low in shown]
    return _drawn("Length of the prompts", "words the user says", "Words", labels, rows)


def by_slice(cells: Iterable[Sequence[Any]], place: int) -> list[tuple[str, int]]:
    """How many prompts have each value, the commonest first."""
    counts: Counter[str] = Counter()
    for cell in cells:
        counts[cell[place]] += cell[-1]
    return counts.most_common()


def by_use(cells: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Prompts by use case, difficulty and specialty, the largest first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for _, use_case, difficulty, specialty, num in cells:
        counts[use_case, difficulty, specialty] += num
    highest = max(counts.values(), default=1)
    return [
        {"use_case": use, "difficulty": hard, "specialty": field, "num": num, "of": highest}
        for (use, hard, field), num in counts.most_common()
    ]


def balance(cells: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """How each use case is shared out among the splits, in prompts and per cent."""
    counts: dict[str, Counter[str]] = {}
    for split, use_case, _, _, num in cells:
        counts.setdefault(use_case, Counter())[split] += num
    rows = []
    for use_case, found in sorted(counts.items()):
        total = found.total()
        shares = [(split, found[split], 100 * found[split] / total) for split in SPLITS]
        rows.append({"use_case": use_case, "shares": shares, "num": total})
    return rows


def _binned(pairs: Pairs) -> list[tuple[float, float, int]]:
    size = -(-len(pairs) // MOST_BARS) or 1
    groups = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    return [(group[0][0], group[-1][0], sum(num for _, num in group)) for group in groups]


def _drawn(
    title: str, note: str, head: str, labels: Sequence[str], rows: Sequence[tuple[float, int]]
) -> Histogram:
    # A label or number wider than its bar would run into the next one.
    texts = [*labels, *(str(num) for _, num in rows)]
    step = max([BAR_WIDTH, *(CHAR * len(text) for text in texts)]) + GAP
    highest = max((num for _, num in rows), default=0) or 1
    bars = []
    for place, ((value, num), label) in enumerate(zip(rows, labels, strict=True)):
        height = max(1.0, HEIGHT * num / highest) if num else 0.0
        middle = place * step + step / 2
        y = HEIGHT - height + ABOVE
        bars.append(Bar(middle - BAR_WIDTH / 2, y, height, middle, label, num, value < 0))
    return Histogram(title, note, head, bars, max(1, len(rows)) * step)


def _signed(value: float) -> str:
    return f"{value:+g}".replace("-", MINUS)
