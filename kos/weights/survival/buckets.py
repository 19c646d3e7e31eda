"""The change that survives, by the largest weight of its block of 16.

The article argues from blocks whose largest weight is small; the table shows how many there are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kos.weights.survival.sums import Sums

BLOCK = 16
# Upper ends; what is larger falls into a last bucket.
EDGES = (1e-3, 1e-2, 2e-2, 3e-2, 4e-2, 6e-2)


class Buckets:
    """Sums over blocks, by the largest |W1| in them."""

    def __init__(self) -> None:
        self.edges = torch.tensor(EDGES)
        self.sums = torch.zeros(5, len(EDGES) + 1, dtype=torch.float64)

    def add(
        self, merged_RC: Tensor, delta_RC: Tensor, kept_RC: Tensor, changed_RC: Tensor | None
    ) -> None:
        """Count one weight's blocks; a rest of columns that fill none is left out."""
        amax = _blocks(merged_RC).abs().amax(-1).flatten()
        place = torch.bucketize(amax, self.edges.to(amax.dtype), right=True)
        delta, kept = _blocks(delta_RC), _blocks(kept_RC)
        changed = torch.zeros_like(delta) if changed_RC is None else _blocks(changed_RC)
        columns = (
            torch.ones_like(amax),
            changed.float().sum(-1).flatten(),
            (delta * delta).sum(-1).flatten(),
            (kept * kept).sum(-1).flatten(),
            (kept * delta).sum(-1).flatten(),
        )
        for row, values in enumerate(columns):
            self.sums[row] += torch.bincount(place, values.double(), len(EDGES) + 1)

    def show(self) -> list[dict[str, float | None]]:
        """One line a bucket: from, to (None without end), share of the blocks, and the change."""
        total = float(self.sums[0].sum()) or 1.0
        ends = (0.0, *EDGES, None)
        shown: list[dict[str, float | None]] = []
        for number in range(len(EDGES) + 1):
            blocks, changed, delta_sq, kept_sq, dot = self.sums[:, number].tolist()
            line: dict[str, float | None] = {
                "from": ends[number],
                "to": ends[number + 1],
                "share": blocks / total,
            }
            if blocks:
                sums = Sums(num_weights=blocks * BLOCK, codes_changed=changed, dot=dot)
                sums.delta_sq, sums.kept_sq = delta_sq, kept_sq
                # Differences of sums: what floats leave below zero is none.
                sums.noise_sq = max(0.0, kept_sq - 2 * dot + delta_sq)
                found = sums.show()
                keys = ("codes_changed", "slope", "cos", "snr_db")
                line |= {key: found[key] for key in keys if key in found}
            shown.append(line)
        assert math.isclose(sum(line["share"] or 0 for line in shown), 1.0) or total == 1.0
        return shown


def _blocks(values_RC: Tensor) -> Tensor:
    rows, columns = values_RC.shape
    return values_RC[:, : columns - columns % BLOCK].reshape(rows, -1, BLOCK)
