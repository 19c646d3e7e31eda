"""How much a merge changed, and how much of it BF16 kept.

D is the adapter's update, d_eff = bf16(W + D) - bf16(W) what is left of it in the file.
slope = <d_eff, D> / <D, D>, SNR = |D|^2 / |d_eff - D|^2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor


@dataclass
class Tally:
    """Sums over the weights that an adapter touches."""

    num_tensors: int = 0
    num_weights: int = 0
    num_moved: int = 0
    weight_abs: float = 0.0
    delta_abs: float = 0.0
    delta_sq: float = 0.0
    kept_dot: float = 0.0
    kept_sq: float = 0.0

    def add(self, rows: Tensor, delta: Tensor) -> Tensor:
        """Count ``rows`` (any float) + ``delta`` (float32, same shape); return the sum in BF16."""
        weight = rows.float()
        merged = (weight + delta).to(torch.bfloat16)
        kept = merged.float() - weight.to(torch.bfloat16).float()
        self.num_weights += weight.numel()
        # Fifteen times as fast as count_nonzero; exact in float32 up to 2^24 values.
        self.num_moved += int(kept.sign().abs_().sum())
        self.weight_abs += float(weight.abs().sum())
        self.delta_abs += float(delta.abs().sum())
        flat, effect = delta.flatten(), kept.flatten()
        self.delta_sq += float(flat @ flat)
        self.kept_dot += float(effect @ flat)
        self.kept_sq += float(effect @ effect)
        return merged

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
        if self.delta_sq and noise > 0:
            shown["bf16_slope"] = self.kept_dot / self.delta_sq
            shown["bf16_snr_db"] = 10 * math.log10(self.delta_sq / noise)
        return shown


def total(tallies: Sequence[Tally]) -> Tally:
    """The sum of several."""
    fields = [asdict(tally) for tally in tallies]
    return Tally(**{key: sum(said[key] for said in fields) for key in asdict(Tally())})
