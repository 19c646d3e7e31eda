"""How much of an adapter survives quantisation, on a sample of its weights.

W0 is the base, D the change, W1 = W0 + D, Q the exporter, d_eff = Q(W1) - Q(W0).

- slope = <d_eff, D> / <D, D>: 1 keeps the change on average, 0 erases it;
- cos: how much of d_eff points along D;
- snr_db = 10 log10(|D|^2 / |d_eff - D|^2): below 0 the rounding noise outweighs the change;
- relative_error = |Q(W1) - W1| / |W1|, and codes_changed, the share of 4-bit codes that differ.

Nearest rounding trades the two: what reproduces the base best keeps least of the change. So
slope and error are shown together. D is taken between the files, after the merge's BF16 rounding.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kos.weights import nvfp4
from kos.weights.quantised import Nvfp4Folder
from kos.weights.text import Checkpoint, kind_of

PER_KIND = 3


@dataclass
class Survival:
    """Sums over the sampled weights of one kind."""

    num_tensors: int = 0
    num_weights: int = 0
    num_codes_changed: int = 0
    delta_abs: float = 0.0
    weight_abs: float = 0.0
    delta_sq: float = 0.0
    dot: float = 0.0
    kept_sq: float = 0.0
    error_sq: float = 0.0
    weight_sq: float = 0.0

    def add(
        self, base_RC: Tensor, merged_RC: Tensor, q_base_RC: Tensor, q_merged_RC: Tensor
    ) -> None:
        """Count one weight; all float32 of one shape."""
        delta, kept = (merged_RC - base_RC).flatten(), (q_merged_RC - q_base_RC).flatten()
        error, merged = (q_merged_RC - merged_RC).flatten(), merged_RC.flatten()
        self.num_tensors += 1
        self.num_weights += delta.numel()
        self.delta_abs += float(delta.abs().sum())
        self.weight_abs += float(base_RC.abs().sum())
        self.delta_sq += float(delta @ delta)
        self.dot += float(kept @ delta)
        self.kept_sq += float(kept @ kept)
        self.error_sq += float(error @ error)
        self.weight_sq += float(merged @ merged)

    def show(self) -> dict[str, float]:
        """The numbers people read; no slope where nothing changed."""
        shown = {
            "num_tensors": self.num_tensors,
            "mean_weight": self.weight_abs / self.num_weights,
            "mean_delta": self.delta_abs / self.num_weights,
            "relative_error": math.sqrt(self.error_sq / self.weight_sq),
            "codes_changed": self.num_codes_changed / self.num_weights,
        }
        noise = self.kept_sq - 2 * self.dot + self.delta_sq
        if self.delta_sq and noise > 0:
            shown["slope"] = self.dot / self.delta_sq
            shown["snr_db"] = 10 * math.log10(self.delta_sq / noise)
        if self.delta_sq and self.kept_sq:
            shown["cos"] = self.dot / math.sqrt(self.delta_sq * self.kept_sq)
        return shown


def measure(
    exported: Nvfp4Folder,
    merged: Checkpoint,
    base: Checkpoint,
    on_weight: Callable[[int, int], None],
) -> dict[str, dict[str, float]]:
    """The numbers by kind of weight; ``on_weight`` is told weights done and in all."""
    names = sample(exported, base)
    kinds: dict[str, Survival] = defaultdict(Survival)
    for done, name in enumerate(names, start=1):
        _measure_one(kinds[kind_of(name)], name, exported, merged, base)
        on_weight(done, len(names))
    return {kind: kinds[kind].show() for kind in sorted(kinds)}


def sample(exported: Nvfp4Folder, base: Mapping[str, object]) -> list[str]:
    """At most ``PER_KIND`` quantised weights of a kind, spread over the layers."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    for name in exported.weights:
        if name in base:
            by_kind[kind_of(name)].append(name)
    chosen: list[str] = []
    for names in by_kind.values():
        count = min(PER_KIND, len(names))
        chosen += [names[(2 * i + 1) * len(names) // (2 * count)] for i in range(count)]
    return chosen


def _measure_one(
    into: Survival, name: str, exported: Nvfp4Folder, merged: Checkpoint, base: Checkpoint
) -> None:
    stored = exported.read(name)
    partners = [_read(base, partner) for partner in exported.partners(name)]
    base_RC, merged_RC = _read(base, name), _read(merged, name)
    q_base = nvfp4.quantise(base_RC, nvfp4.global_scale(*partners))
    into.num_codes_changed += _differing(q_base.codes, stored.codes)
    into.add(base_RC, merged_RC, nvfp4.dequantise(*q_base), nvfp4.dequantise(*stored))


def _read(checkpoint: Checkpoint, name: str) -> Tensor:
    """float32 after BF16: an INT4 base has finer values, whose rounding is no change."""
    return checkpoint[name].read().to(torch.bfloat16).float()


def _differing(a_RB: Tensor, b_RB: Tensor) -> int:
    """Codes that differ between two packed tensors."""
    differ = a_RB ^ b_RB
    return int((differ & 0xF).count_nonzero() + (differ >> 4).count_nonzero())
