"""Measuring what a format keeps of a change, weight by weight, in as little memory as one needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kos.weights.formats.base import ExportFormat, Target
from kos.weights.formats.int4_unbiased import curvature_of
from kos.weights.formats.online import without_change
from kos.weights.rounding.curvature import Diagonal, Full
from kos.weights.survival import grids
from kos.weights.survival.buckets import Buckets
from kos.weights.survival.sampling import layer_of
from kos.weights.survival.sums import Sums
from kos.weights.text import kind_of


class Meter:
    """What one format keeps, over the weights it is given one at a time."""

    def __init__(self, format: ExportFormat) -> None:
        self.format = format
        self.cells: dict[tuple[str, int], Sums] = defaultdict(Sums)
        self.buckets = Buckets()

    def add(
        self,
        target: Target,
        stored: Mapping[str, Tensor] | None = None,
        *,
        curvature: Diagonal | Full | None = None,
    ) -> None:
        """Count one weight; ``stored`` is its encoding where the caller has made it already.

        Nothing is counted where the adapter changes nothing.
        """
        if target.delta_RC is None:
            return
        stored = self.format.encode(target) if stored is None else stored
        plain = self.format.encode(without_change(target))
        found = self._sums(target, plain, stored, curvature)
        self.cells[kind_of(target.name), layer_of(target.name)] += found

    def _sums(
        self,
        target: Target,
        plain: Mapping[str, Tensor],
        stored: Mapping[str, Tensor],
        curvature: Diagonal | Full | None,
    ) -> Sums:
        base_RC, merged_RC, delta_RC = target.base_RC, target.merged_RC, target.delta_RC
        assert delta_RC is not None, "checked by add"
        before_RC = self.format.decode(target.name, plain)
        after_RC = self.format.computed(target, stored)
        kept_RC = after_RC - before_RC
        sums = grids.compared(target.name, plain, stored, merged_RC)
        changed_RC = grids.changed(plain, stored, merged_RC.shape)
        self.buckets.add(merged_RC, delta_RC, kept_RC, changed_RC)
        sums.num_tensors, sums.num_weights = 1, delta_RC.numel()
        sums.weight_abs, sums.delta_abs = _abs(base_RC), _abs(delta_RC)
        sums.weight_sq, sums.merged_sq = _dot(base_RC, base_RC), _dot(merged_RC, merged_RC)
        sums.delta_sq, sums.kept_sq = _dot(delta_RC, delta_RC), _dot(kept_RC, kept_RC)
        sums.dot = _dot(kept_RC, delta_RC)
        sums.noise_sq = _square(kept_RC - delta_RC)
        sums.base_error_sq = _square(before_RC - base_RC)
        sums.error_sq = _square(after_RC - merged_RC)
        if curvature is not None:
            sums.out_delta_sq = curvature.inner(delta_RC, delta_RC)
            sums.out_dot = curvature.inner(kept_RC, delta_RC)
        return sums

    def show(self) -> dict[str, Any]:
        """``all``, by ``kinds``, by ``layers`` of each kind, and ``buckets``."""
        whole = Sums()
        kinds: dict[str, Sums] = defaultdict(Sums)
        layers: dict[str, dict[str, Any]] = defaultdict(dict)
        for (kind, layer), sums in sorted(self.cells.items()):
            whole += sums
            kinds[kind] += sums
            layers[kind][str(layer)] = sums.show()
        return {
            "all": whole.show(),
            "kinds": {kind: sums.show() for kind, sums in kinds.items()},
            "layers": dict(layers),
            "buckets": self.buckets.show(),
        }


def measure(
    targets: Iterable[Target],
    formats: Sequence[ExportFormat],
    *,
    takes: Sequence[Container[str]] | None = None,
    on_weight: Callable[[int], None] = lambda done: None,
) -> list[dict[str, Any]]:
    """What each format keeps of the same weights, side by side; one weight is held at a time.

    Each line has ``kind``, ``label``, ``is_online`` (the adapter stays beside the base), ``bits`` a
    weight and the numbers of ``Meter.show``.
    ``takes`` has the weights that each format stores, where they are not all; ``on_weight`` is
    told the weights done. A format that needs what calibration would bring, and
    gets none, is measured with scales of 1.0 for its inputs, which no weight depends on.
    """
    meters = [Meter(without_inputs(format)) for format in formats]
    bits: list[tuple[int, int]] = [(0, 0)] * len(meters)
    for done, target in enumerate(targets, start=1):
        curvature = _curvature(target)
        for place, meter in enumerate(meters):
            if takes is not None and target.name not in takes[place]:
                continue
            meter.add(target, curvature=curvature)
            bits[place] = grids.count_bits(bits[place], meter.format, target)
        on_weight(done)
    return [
        {
            "kind": meter.format.kind,
            "label": meter.format.label(),
            "is_online": not meter.format.folds_adapter,
            "bits": found / max(1, count),
            **meter.show(),
        }
        for meter, (found, count) in zip(meters, bits, strict=True)
    ]


def subspace_error(kept_RC: Tensor, delta_RC: Tensor, inputs_rC: Tensor) -> float:
    """|(d_eff - D) V| / |D V|, V an orthonormal basis of the adapter's input rows (r, C)."""
    basis_Cr, _ = torch.linalg.qr(inputs_rC.T)
    noise, change = (kept_RC - delta_RC) @ basis_Cr, delta_RC @ basis_Cr
    return float(noise.norm() / change.norm())


def without_inputs(format: ExportFormat) -> ExportFormat:
    """``format`` with inputs' scales of 1.0 where it would calibrate them: weights stay the same."""
    if "activations" in type(format).model_fields and "nvfp4" in format.kind:
        return format.model_copy(update={"activations": "unit"})
    return format


def _curvature(target: Target) -> Diagonal | Full | None:
    return curvature_of(target) if target.activations is not None else None


def _abs(values: Tensor) -> float:
    return float(values.abs().sum(dtype=torch.float64))


def _square(values: Tensor) -> float:
    return _dot(values, values)


def _dot(a_RC: Tensor, b_RC: Tensor) -> float:
    # By rows in float32, summed in float64: 15 million products lose nothing that shows.
    return float((a_RC * b_RC).sum(-1).double().sum())
