"""What a version holds, in counts: for its page."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from django.db.models import Count, Sum

from apps.datasets.models import DatasetVersion

BAR_WIDTH, GAP, HEIGHT = 22, 4, 90


class Bar(NamedTuple):
    """One bar of the points histogram, placed for SVG."""

    x: float
    y: float
    height: float
    middle: float
    label: str
    num_items: int
    is_negative: bool


def summarise(version: DatasetVersion) -> dict[str, Any]:
    """Counts by slice, and how many points the rubric items carry."""
    examples = version.examples.all()
    points: Counter[int] = Counter()
    num_checked = num_checkpoints = num_verified = 0
    for task in examples.values_list("task", flat=True).iterator(chunk_size=500):
        for item in task.get("rubric", []):
            points[round(item["points"])] += 1
            num_checked += bool(item.get("check"))
            num_checkpoints += bool(item.get("checkpoint"))
        num_verified += bool(task.get("verifier"))
    num_items = sum(points.values())
    return {
        "num_examples": examples.count(),
        "num_items": num_items,
        "num_checked": num_checked,
        "num_judged": num_items - num_checked - num_checkpoints,
        "num_checkpoints": num_checkpoints,
        "num_verified": num_verified,
        "slices": [
            (label, _counts(version, name))
            for name, label in (
                ("split", "Split"),
                ("use_case", "Use case"),
                ("specialty", "Specialty"),
            )
        ],
        "bars": histogram(points),
        "width": max(1, len(points)) * (BAR_WIDTH + GAP),
    }


def histogram(points: Counter[int]) -> list[Bar]:
    """One bar a value, lowest first; negative points are faults."""
    highest = max(points.values(), default=1)
    bars = []
    for place, (value, count) in enumerate(sorted(points.items())):
        height = max(1.0, HEIGHT * count / highest)
        x = place * (BAR_WIDTH + GAP)
        label = f"{value:+d}".replace("-", "\N{MINUS SIGN}")
        bars.append(
            Bar(x, HEIGHT - height + 14, height, x + BAR_WIDTH / 2, label, count, value < 0)
        )
    return bars


def _counts(version: DatasetVersion, name: str) -> list[dict[str, Any]]:
    rows = (
        version.examples.order_by()
        .values(name)
        .annotate(num=Count("pk"), items=Sum("num_items"))
        .order_by("-num", name)
    )
    return [
        {"key": name, "value": row[name], "num": row["num"], "items": row["items"]} for row in rows
    ]
