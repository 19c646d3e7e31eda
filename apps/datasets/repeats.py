"""Prompts of one version that say the same, exactly or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.accounts.models import User
from apps.datasets import work
from apps.datasets.models import DatasetVersion, Work
from apps.datasets.work import Told
from kos.data.overlap import REPEAT_THRESHOLD, find_repeats

# Prompts of a version that are compared while the page waits.
SHORT = 2000
KEPT_PAIRS = 5000


def look(version: DatasetVersion, by: User | None = None) -> Work:
    """Find the repeats of a version, once: a version never changes."""
    found = work.latest(version, Work.Kind.REPEATS)
    if found is not None and found.status != Work.Status.FAILED and not work.is_silent(found):
        return found
    return work.start(
        Work.Kind.REPEATS,
        do_find,
        by=by,
        version=version,
        is_long=version.num_examples > SHORT,
    )


def do_find(task: Work, told: Told) -> dict[str, Any]:
    """Pairs of examples, the nearest first: ids and places, no text."""
    version = task.version
    assert version is not None
    rows = [*version.examples.order_by("position").values_list("pk", "external_id")]
    texts = version.examples.order_by("position").values_list("task__messages", flat=True)
    pairs = find_repeats(
        (_text_of(messages) for messages in texts.iterator(chunk_size=500)),
        told=lambda num: told(num, len(rows)),
    )
    return {
        "threshold": REPEAT_THRESHOLD,
        "num_exact": sum(pair.is_exact for pair in pairs),
        "num_near": sum(not pair.is_exact for pair in pairs),
        "pairs": [
            [*rows[pair.first], *rows[pair.second], round(pair.share, 3), pair.is_exact]
            for pair in pairs[:KEPT_PAIRS]
        ],
    }


def of_example(version: DatasetVersion, external_id: str) -> list[tuple[int, str, float, bool]]:
    """The examples that repeat one, as found before: key, id, share, whether exactly."""
    found = work.latest(version, Work.Kind.REPEATS)
    pairs: Sequence[Any] = found.result.get("pairs", ()) if found is not None else ()
    others = []
    for first_pk, first, second_pk, second, share, is_exact in pairs:
        if first == external_id:
            others.append((second_pk, second, share, is_exact))
        elif second == external_id:
            others.append((first_pk, first, share, is_exact))
    return others


def _text_of(messages: Sequence[dict[str, Any]]) -> str:
    return "\n".join(turn["content"] for turn in messages if turn["role"] == "user")
