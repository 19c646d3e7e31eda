"""What calibration saw at the inputs of a model's weights, and the artifact that keeps it.

An artifact is a folder: ``calibration.json`` (largest inputs, tokens, expert coverage, where the
text came from) and, where second moments were asked for, ``moments.safetensors``. Another
export of the same model can take it instead of calibrating again.

Inputs have names of their own, since weights share them: ``model.layers.0.mlp.gate_proj`` also
stands for ``up_proj``, and all experts of a layer share ``...mlp.experts.gate_up_proj`` and
``...mlp.experts.down_proj``, as in ModelOpt's fused experts. Second moments of ``down_proj`` are
an expert's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kos.errors import UserError
from kos.weights import shards
from kos.weights.formats.base import Activations
from kos.weights.plan_export import partners
from kos.weights.shards import Spec, read_header

JSON, MOMENTS = "calibration.json", "moments.safetensors"
EXPERT = re.compile(r"^(.*\.experts)\.\d+\.(gate_proj|up_proj|down_proj|w1|w2|w3)$")
DOWN = ("down_proj", "w2")


@dataclass
class Seen:
    """One input: its largest magnitude over ``num_tokens`` tokens."""

    amax: float = 0.0
    num_tokens: int = 0


@dataclass
class Calibration:
    """Largest inputs by input name, second moments by name, tokens of each expert by layer."""

    inputs: dict[str, Seen] = field(default_factory=dict)
    coverage: dict[int, list[int]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    def of(self, weight: str) -> Activations | None:
        """What is known of a weight's input; None when it was not recorded."""
        seen = self.inputs.get(input_of(weight))
        if seen is None:
            return None
        own = own_input_of(weight)
        if not self._has(own):
            return self._unseen_expert(seen, own)
        moments = self._moments
        return Activations(
            seen.amax,
            self.inputs[own].num_tokens,
            moments[f"{own}.diagonal"].read(),
            moments[f"{own}.values"].read() if f"{own}.values" in moments else None,
            moments[f"{own}.vectors"].read() if f"{own}.vectors" in moments else None,
        )

    def _unseen_expert(self, seen: Seen, own: str) -> Activations:
        """An expert without tokens: all channels as large as another expert's are on average."""
        found = EXPERT.match(own)
        prefix = f"{found[1]}." if found else ""
        ends = tuple(f".{part}.diagonal" for part in DOWN)
        like = (name for name in self._moments if name.startswith(prefix) and name.endswith(ends))
        name = next(like, "") if prefix else ""
        if not name:
            return Activations(seen.amax, seen.num_tokens)
        diagonal_C = self._moments[name].read()
        even_C = torch.full_like(diagonal_C, float(diagonal_C.mean()))
        none_CK = torch.zeros(len(diagonal_C), 1)
        return Activations(seen.amax, 0, even_C, torch.zeros(1), none_CK)

    @property
    def has_moments(self) -> bool:
        """Whether second moments were kept."""
        return bool(self._moments)

    def _has(self, name: str) -> bool:
        return f"{name}.diagonal" in self._moments

    @property
    def _moments(self) -> Mapping[str, shards.Entry]:
        file = self.folder / MOMENTS if self.folder else None
        if file is None or not file.exists():
            return {}
        if not hasattr(self, "_entries"):
            self._entries = {entry.name: entry for entry in read_header(file)}
        return self._entries

    def unseen(self) -> dict[int, list[int]]:
        """Experts that saw no token, by layer."""
        return {
            layer: [expert for expert, count in enumerate(counts) if not count]
            for layer, counts in sorted(self.coverage.items())
        }

    def show(self) -> dict[str, Any]:
        """For the artifact's summary: where it came from, and a line of coverage a layer."""
        layers = [
            {
                "layer": layer,
                "unseen": sum(not count for count in counts),
                "fewest": min(counts),
                "most": max(counts),
                "experts": len(counts),
            }
            for layer, counts in sorted(self.coverage.items())
        ]
        told = {"num_inputs": len(self.inputs), **self.about}
        if layers:
            told["coverage"] = {"unseen": sum(row["unseen"] for row in layers), "layers": layers}
        return told

    def save(self, folder: Path, moments: Mapping[str, Tensor] | None = None) -> None:
        """Write the artifact; ``moments`` has tensors by ``<input>.diagonal|values|vectors``."""
        if moments:
            specs = [Spec(name, one.dtype, tuple(one.shape)) for name, one in moments.items()]
            shards.write_shard(folder / MOMENTS, specs, lambda spec: [moments[spec.name]])
        said = {
            "about": self.about,
            "inputs": {name: asdict(seen) for name, seen in self.inputs.items()},
            "coverage": {str(layer): counts for layer, counts in self.coverage.items()},
        }
        shards.write_json(folder / JSON, said)
        self.folder = folder

    @classmethod
    def load(cls, folder: Path) -> Calibration:
        """Read an artifact; raises UserError when it is none."""
        said = shards.read_json(folder / JSON)
        if "inputs" not in said:
            raise UserError(f"{folder.name} holds no calibration: pick one that an export kept")
        return cls(
            {name: Seen(**seen) for name, seen in said["inputs"].items()},
            {int(layer): counts for layer, counts in said["coverage"].items()},
            said["about"],
            folder,
        )


def input_of(weight: str) -> str:
    """The name of the input a weight reads; weights that share it share the name."""
    module = weight.removesuffix(".weight")
    expert = EXPERT.match(module)
    if expert:
        return f"{expert[1]}.{'down_proj' if expert[2] in DOWN else 'gate_up_proj'}"
    return partners(weight)[0].removesuffix(".weight")


def own_input_of(weight: str) -> str:
    """The same, but an expert's ``down_proj`` has its own: what its gate and up let through."""
    module = weight.removesuffix(".weight")
    expert = EXPERT.match(module)
    return module if expert and expert[2] in DOWN else input_of(weight)
