"""Sums over weights, from which every ratio of the report is made; they add up over samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass
class Sums:
    """Over some weights under one format; see the package for the names of the tensors.

    ``out_*`` are weighed by the inputs' second moments, where those are known.
    """

    num_tensors: int = 0
    num_weights: float = 0.0
    num_scales: float = 0.0
    codes_changed: float = 0.0
    scales_changed: float = 0.0
    weight_abs: float = 0.0
    delta_abs: float = 0.0
    half_step: float = 0.0
    scale: float = 0.0
    weight_sq: float = 0.0
    merged_sq: float = 0.0
    delta_sq: float = 0.0
    kept_sq: float = 0.0
    dot: float = 0.0
    noise_sq: float = 0.0
    base_error_sq: float = 0.0
    error_sq: float = 0.0
    out_delta_sq: float = 0.0
    out_dot: float = 0.0

    def __iadd__(self, other: Sums) -> Sums:
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            setattr(self, field.name, mine + theirs)
        return self

    def show(self) -> dict[str, float]:
        """The numbers people read; left out is what nothing was there for."""
        count = self.num_weights or 1.0
        shown = {
            "num_tensors": self.num_tensors,
            "num_weights": self.num_weights,
            "mean_weight": self.weight_abs / count,
            "mean_delta": self.delta_abs / count,
            "codes_changed": self.codes_changed / count,
        }
        if self.num_scales:
            shown["scales_changed"] = self.scales_changed / self.num_scales
        if self.scale:
            shown["mean_scale"] = self.scale / count
        if self.half_step:
            shown["half_step"] = self.half_step / count
            if self.delta_abs:
                shown["half_step_over_delta"] = self.half_step / self.delta_abs
        if self.merged_sq:
            shown["error"] = math.sqrt(self.error_sq / self.merged_sq)
            shown["delta_error"] = math.sqrt(self.noise_sq / self.merged_sq)
        if self.weight_sq:
            shown["base_error"] = math.sqrt(self.base_error_sq / self.weight_sq)
        return shown | self._change()

    def _change(self) -> dict[str, float]:
        shown: dict[str, float] = {}
        if not self.delta_sq:
            return shown
        shown["slope"] = self.dot / self.delta_sq
        if self.noise_sq:
            shown["snr_db"] = 10 * math.log10(self.delta_sq / self.noise_sq)
        if self.kept_sq:
            shown["cos"] = self.dot / math.sqrt(self.delta_sq * self.kept_sq)
        if self.out_delta_sq:
            shown["slope_out"] = self.out_dot / self.out_delta_sq
        return shown
