"""How much a merge changed, and how much of it BF16 kept.

D is the adapter's update, d_eff = bf16(W + D) - bf16(W) what is left of it in the file.
slope = <d_eff, D> / <D, D>, SNR = |D|^2 / |d_eff - D|^2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Sums(NamedTuple):
    """What one block of rows adds to a ``Tally``."""

    num_moved: float
    weight_abs: float
    delta_abs: float
    delta_sq: float
    kept_dot: float
    kept_sq: float

    @classmethod
    def fold(cls, weight: Tensor, delta: Tensor) -> tuple[Tensor, Sums]:
        """bfloat16(weight + delta), both float32 of one shape, and its sums."""
        merged = (weight + delta).to(torch.bfloat16)
        return merged, cls.of(weight, delta, merged.float() - weight.to(torch.bfloat16).float())

    @classmethod
    def of(cls, weight: Tensor, delta: Tensor, kept: Tensor) -> Sums:
        """The sums of weight, update and what is left of it, all float32 of one shape."""
        flat, effect = delta.flatten(), kept.flatten()
        return cls(
            # Fifteen times as fast as count_nonzero; exact in float32 up to 2^24 values.
            float(kept.sign().abs_().sum()),
            float(weight.abs().sum()),
            float(delta.abs().sum()),
            float(flat @ flat),
            float(effect @ flat),
            float(effect @ effect),
        )


class Changed(NamedTuple):
    """INT4 codes and scales that a merge changed, and the scales there are."""

    num_codes: int
    num_scales_changed: int
    num_scales: int


@dataclass
class Tally:
    """Sums over the weights that an adapter touches.

    What was rounded to INT4 also counts codes and scales; its d_eff is Q(W + D) - W.
    """

    num_tensors: int = 0
    num_weights: int = 0
    num_moved: int = 0
    weight_abs: float = 0.0
    delta_abs: float = 0.0
    delta_sq: float = 0.0
    kept_dot: float = 0.0
    kept_sq: float = 0.0
    num_codes_changed: int = 0
    num_scales_changed: int = 0
    num_scales: int = 0

    def add(self, num_weights: int, sums: Sums, changed: Changed | None = None) -> None:
        """Count one block of ``num_weights`` values."""
        if changed is not None:
            self.num_codes_changed += changed.num_codes
            self.num_scales_changed += changed.num_scales_changed
            self.num_scales += changed.num_scales
        self.num_weights += num_weights
        self.num_moved += int(sums.num_moved)
        self.weight_abs += float(sums.weight_abs)
        self.delta_abs += float(sums.delta_abs)
        self.delta_sq += float(sums.delta_sq)
        self.kept_dot += float(sums.kept_dot)
        self.kept_sq += float(sums.kept_sq)

    def show(self) -> dict[str, float]:
        """The numbers people read; without changed weights only zeros."""
        count = max(1, self.num_weights)
        noise = self.kept_sq - 2 * self.kept_dot + self.delta_sq
        shown = {
            "num_touched_weights": self.num_weights,
            "mean_weight": self.weight_abs / count,
            "mean_delta": self.delta_abs / count,
            "delta_to_weight": self.delta_abs / self.weight_abs if self.weight_abs else 0.0,
            "moved_share": self.num_moved / count,
        }
        name = "int4" if self.num_scales else "bf16"
        if self.delta_sq and noise > 0:
            shown[f"{name}_slope"] = self.kept_dot / self.delta_sq
            shown[f"{name}_snr_db"] = 10 * math.log10(self.delta_sq / noise)
        if self.num_scales:
            shown["codes_changed"] = self.num_codes_changed / count
            shown["scales_changed"] = self.num_scales_changed / self.num_scales
        return shown


def total(tallies: Sequence[Tally]) -> Tally:
    """The sum of several."""
    fields = [asdict(tally) for tally in tallies]
    return Tally(**{key: sum(said[key] for said in fields) for key in asdict(Tally())})
