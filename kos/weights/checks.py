"""What is checked of an export on a sample of its weights: the rounding, and what it kept.

The rounding is held against nvidia-modelopt's own quantiser, byte for byte. What was kept of the
adapter's change is measured between what the files say, on two experts a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from kos.weights import kernels, nvfp4
from kos.weights.activations import Calibration
from kos.weights.formats.base import Target
from kos.weights.formats.nvfp4 import SCALE, SCALE_2, Nvfp4
from kos.weights.quantised import Exported
from kos.weights.source import Source, sharing
from kos.weights.survival.measure import Meter
from kos.weights.survival.sampling import sample
from kos.weights.text import Checkpoint

WEIGHTS, ROWS = 8, 256
EXPERTS, LAYERS = 2, 8


def identical(exported: Exported, source: Source) -> dict[str, Any]:
    """Of a few NVFP4 weights, how many have the codes and scales ModelOpt gives them.

    ``by`` says whose rounding it was held against: the library's, or ours where it is missing.
    Nothing for other formats.
    """
    if type(exported.format) is not Nvfp4:
        return {}
    quantise, by = _reference()
    names = list(exported.weights)[:: max(1, len(exported.weights) // WEIGHTS)]
    equal = 0
    for name in names:
        stored, stem = exported.read(name), name.removesuffix(".weight")
        rows = source.rows(name, 0, min(ROWS, exported.weights[name][0])).float()
        codes, scale = quantise(rows, stored[stem + SCALE_2])
        pairs = ((codes, stored[name]), (scale, stored[stem + SCALE]))
        equal += all(_same(ours, theirs[: len(rows)]) for ours, theirs in pairs)
    return {"num_checked": len(names), "num_identical": equal, "checked_by": by}


def _reference() -> tuple[Callable[[torch.Tensor, torch.Tensor], Any], str]:
    try:
        # Heavy (5 s): only a job that quantises pays for it.
        from modelopt.torch.quantization.qtensor import NVFP4QTensor
    except ImportError:
        return lambda rows, scale_2: nvfp4.quantise(rows, scale_2)[:2], "kos"

    def quantise(rows: torch.Tensor, scale_2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        made, scale, _ = NVFP4QTensor.quantize(rows, nvfp4.BLOCK, None, scale_2)
        return made._quantized_data, scale

    return quantise, "modelopt"


def _same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return torch.equal(ours.view(torch.uint8), theirs.view(torch.uint8))


@dataclass(frozen=True)
class Change:
    """What was trained: an adapter over ``source``, or ``source`` over an older ``base``."""

    source: Source
    base: Checkpoint | None = None
    calibration: Calibration | None = None
    seed: int = 0

    def names(self, exported: Exported) -> list[str]:
        """The sample: changed, quantised matrices, two experts a layer and kind."""
        changed = self.source.updates if self.base is None else self.base
        found = [name for name in exported.weights if name in changed]
        return sample(found, experts=EXPERTS, layers=LAYERS)

    def target(self, name: str, quantised: Mapping[str, Any]) -> Target:
        """One weight as the format takes it; no delta where nothing changed."""
        seen = self.calibration.of(name) if self.calibration else None
        partners = sharing(name, quantised.__contains__)
        if self.base is None:
            return self.source.target(name, seed=self.seed, activations=seen, shares_with=partners)
        base_RC, merged_RC = _rounded(self.base, name), self.source.read(name).float()
        delta_RC = merged_RC - base_RC
        return Target(
            name,
            base_RC,
            delta_RC if delta_RC.any() else None,
            shared_amax=max(kernels.largest(self.source.read(one).float()) for one in partners),
            activations=seen,
            seed=self.seed,
            base_amax=max(kernels.largest(_rounded(self.base, one)) for one in partners),
        )


def _rounded(base: Checkpoint, name: str) -> torch.Tensor:
    """float32 after BF16: an INT4 base has finer values, whose rounding is no change."""
    return base[name].read().to(torch.bfloat16).float()


def survival(
    exported: Exported, change: Change, on_weight: Callable[[int, int], None]
) -> dict[str, Any]:
    """What the file keeps of the change; see ``kos.weights.survival``. Empty without a change."""
    names = change.names(exported)
    meter = Meter(exported.format)
    for done, name in enumerate(names, start=1):
        target = change.target(name, exported.weights)
        meter.add(target, exported.read(name))
        on_weight(done, len(names))
    return meter.show() if meter.cells else {}
