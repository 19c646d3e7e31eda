"""Which of the changed weights are looked at."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

from kos.weights.plan_export import LAYER
from kos.weights.text import kind_of

T = TypeVar("T")
EXPERT = re.compile(r"\.experts\.(\d+)\.")
OUTSIDE = -1


def sample(names: Iterable[str], *, experts: int, layers: int = 0) -> list[str]:
    """Of ``names`` at most ``experts`` experts a layer and kind, of at most ``layers`` layers.

    Both spread evenly; 0 takes all.
    """
    by_layer: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        by_layer[layer_of(name)][kind_of(name)].append(name)
    chosen: list[str] = []
    for layer in spread(sorted(by_layer), layers):
        for same in by_layer[layer].values():
            chosen += spread(sorted(same, key=_number), experts)
    return chosen


def spread(values: list[T], count: int) -> list[T]:
    """``count`` of ``values``, each from the middle of its stretch; 0 takes all."""
    if not count or count >= len(values):
        return values
    return [values[(2 * i + 1) * len(values) // (2 * count)] for i in range(count)]


def layer_of(name: str) -> int:
    """The number of a weight's layer; -1 outside the layers."""
    found = LAYER.search(name)
    return int(found[1]) if found else OUTSIDE


def _number(name: str) -> int:
    found = EXPERT.search(name)
    return int(found[1]) if found else 0
