"""A peft LoRA adapter on disk, and which weight each of its tensors changes.

W' = W + scale * B @ A with A (r, C) and B (R, r). Folder: ``adapter_config.json`` and
``adapter_model.safetensors`` with keys ``base_model.model.<module>.lora_A.weight``.

Three forms meet in ``Adapter.plan``:

- a linear module by name, experts of per-expert checkpoints included;
- ``lora_embedding_A/B`` of an embedding, whose update is (B @ A) transposed;
- fused experts (peft's ``target_parameters``): ``lora_A`` (E*r, C) stacks the experts, ``lora_B``
  (R, r*E) has the expert as its fastest index, and ``gate_up_proj`` holds gate above up.

Source: peft 0.21, tuners/lora/layer.py (ParamWrapper.get_delta_weight).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from pathlib import Path
from typing import Any

from torch import Tensor

from kos.errors import UserError
from kos.weights.shards import Entry, read_header, read_json

KEY = re.compile(r"^(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?$")
PREFIXES = ("base_model.model.", "language_model.")
TIED = ("lm_head", "model.embed_tokens")
# What the adapter may not use, and its harmless value.
PLAIN = {"use_dora": False, "lora_bias": False, "fan_in_fan_out": False, "modules_to_save": None}


@dataclass(frozen=True)
class Update:
    """What one weight (R, C) gains: scale * B @ A.

    ``expert`` (number, of how many) and ``first_row`` pick a part of fused experts;
    ``is_embedding`` turns the product over. ``read`` gives a factor in float32.
    """

    name: str
    a: Entry
    b: Entry
    scale: float
    read: Callable[[Entry], Tensor]
    expert: tuple[int, int] | None = None
    first_row: int = 0
    is_embedding: bool = False

    @property
    def sources(self) -> tuple[str, str]:
        """The adapter tensors it is made of."""
        return self.a.name, self.b.name

    def delta(self, start: int, stop: int) -> Tensor:
        """Rows ``[start, stop)`` of the update, float32 (stop - start, C)."""
        left, right = self._factors(start, stop)
        return (left @ right).mul_(self.scale)

    def _factors(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        if self.is_embedding:
            return self.read(self.a)[:, start:stop].T, self.read(self.b).T
        if self.expert is None:
            return self.read(self.b)[start:stop], self.read(self.a)
        number, total = self.expert
        rank = self.a.shape[0] // total
        b_RrE = self.read(self.b).view(self.b.shape[0], rank, total)
        rows = slice(self.first_row + start, self.first_row + stop)
        return b_RrE[rows, :, number], self.a.read_rows(number * rank, (number + 1) * rank).float()


def _read(entry: Entry) -> Tensor:
    return entry.read().float()


class Adapter:
    """A peft adapter folder; reads headers only until an update is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = read_json(folder / "adapter_config.json")
        self._refuse_other_kinds()
        file = folder / "adapter_model.safetensors"
        if not file.exists():
            raise UserError(f"{folder.name} has no adapter_model.safetensors")
        self.entries = read_header(file)
        # The blocks of a weight, and the experts of a layer, ask for the same factors in turn.
        self._read = lru_cache(maxsize=2)(_read)

    def _refuse_other_kinds(self) -> None:
        found = self.config.get("peft_type", "LORA")
        if found != "LORA":
            raise UserError(f"the adapter is of type {found}; only LORA can be folded in")
        for field, harmless in PLAIN.items():
            value = self.config.get(field)
            if value and value != harmless:
                raise UserError(
                    f"the adapter was made with {field}={value}: Kos folds plain LoRA only"
                )

    def plan(
        self, shapes: Mapping[str, tuple[int, ...]], *, is_tied: bool = False
    ) -> dict[str, Update]:
        """The update of every weight the adapter changes, given all weights' shapes.

        Raises ``UserError`` that names the adapter tensors without a target or of the wrong
        shape: an adapter of another model must not be folded in half.
        """
        plan: dict[str, Update] = {}
        strangers: list[str] = []
        for module, sides in self._pairs(shapes).items():
            if is_tied and module in TIED:
                raise UserError(
                    f"the adapter changes {module}, which in this base is one with "
                    f"{' or '.join(set(TIED) - {module})}: folding it in would change both"
                )
            updates = list(self._updates(module, sides, shapes))
            strangers += [] if updates else [entry.name for entry in sides.values()]
            for update in updates:
                if update.name in plan:
                    raise UserError(f"two parts of the adapter change {update.name}")
                plan[update.name] = update
        if strangers:
            shown = ", ".join(strangers[:4])
            raise UserError(
                f"{len(strangers)} of the adapter's {len(self.entries)} tensors fit no weight of "
                f"this base ({shown}): pick the base it was trained on"
            )
        return plan

    def _pairs(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, Entry]]:
        """Module name to its A and B; raises when a tensor is no LoRA factor or has no mate."""
        pairs: dict[str, dict[str, Entry]] = defaultdict(dict)
        for entry in self.entries:
            # Beside the factors of an embedding peft saves an unchanged copy of the base's own.
            if shapes.get(_plain(entry.name).replace(".base_layer.", ".")) == entry.shape:
                continue
            match = KEY.match(entry.name)
            if match is None:
                raise UserError(f"the adapter holds {entry.name}, which is no LoRA factor")
            side = (match["embedding"] or "") + match["side"]
            pairs[_plain(match["module"])][side] = entry
        for module, sides in pairs.items():
            if len(sides) != 2:
                raise UserError(f"the adapter holds only lora_{min(sides)} of {module}")
        return pairs

    def _updates(
        self, module: str, sides: Mapping[str, Entry], shapes: Mapping[str, tuple[int, ...]]
    ) -> Iterator[Update]:
        name = f"{module}.weight"
        if "embedding_A" in sides:
            a, b = sides["embedding_A"], sides["embedding_B"]
            if shapes.get(name) == (a.shape[1], b.shape[0]) and a.shape[0] == b.shape[1]:
                scale = self._scale(module, a.shape[0])
                yield Update(name, a, b, scale, self._read, is_embedding=True)
            return
        a, b = sides["A"], sides["B"]
        if name in shapes:
            if shapes[name] == (b.shape[0], a.shape[1]) and a.shape[0] == b.shape[1]:
                yield Update(name, a, b, self._scale(module, a.shape[0]), self._read)
            return
        yield from self._expert_updates(module, a, b, shapes)

    def _expert_updates(
        self, module: str, a: Entry, b: Entry, shapes: Mapping[str, tuple[int, ...]]
    ) -> Iterator[Update]:
        """Fused experts. Which parameter is meant shows in the shapes, not in the key: peft nests
        the wrappers of one module and names the inner ones ``base_layer``."""
        module = re.sub(r"(\.base_layer)+$", "", module)
        total = sum(1 for _ in _expert_names(module, "down_proj", shapes))
        if not total or a.shape[0] % total or a.shape[0] != b.shape[1]:
            return
        stacks = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}
        for fused, parts in stacks.items():
            rows, columns = shapes[f"{module}.0.{parts[0]}.weight"]
            if (b.shape[0], a.shape[1]) != (rows * len(parts), columns):
                continue
            scale = self._scale(f"{module}.{fused}", a.shape[0] // total)
            for place, part in enumerate(parts):
                for number, name in enumerate(_expert_names(module, part, shapes)):
                    yield Update(name, a, b, scale, self._read, (number, total), place * rows)
            return

    def _scale(self, module: str, rank: int) -> float:
        """alpha / r, or alpha / sqrt(r) for rsLoRA; ``alpha_pattern`` may set alpha by module."""
        alpha: Any = self.config["lora_alpha"]
        for pattern, value in (self.config.get("alpha_pattern") or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                alpha = value
                break
        return float(alpha) / (sqrt(rank) if self.config.get("use_rslora") else rank)


def _plain(module: str) -> str:
    for prefix in PREFIXES:
        module = module.removeprefix(prefix)
    return module


def _expert_names(module: str, part: str, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    number = 0
    while (name := f"{module}.{number}.{part}.weight") in shapes:
        yield name
        number += 1
