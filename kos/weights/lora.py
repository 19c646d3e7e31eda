"""A LoRA adapter on disk, and which weight each of its tensors changes.

W' = W + scale * B @ A with A (r, C) and B (R, r). Folder: ``adapter_config.json`` and
``adapter_model.safetensors`` with keys ``base_model.model.<module>.lora_A.weight``.

Four forms meet in ``Adapter.plan``:

- a linear module by name, experts of per-expert checkpoints included;
- ``lora_embedding_A/B`` of an embedding, whose update is (B @ A) transposed;
- fused experts as peft writes them (``target_parameters``): ``lora_A`` (E*r, C) stacks the
  experts, ``lora_B`` (R, r*E) has the expert as its fastest index, ``gate_up_proj`` holds gate
  above up;
- experts as Tinker writes them, three-dimensional and with one outer side shared by all: w1 and
  w3 ``lora_A`` (1, r, C) and ``lora_B`` (E, R, r), w2 ``lora_A`` (E, r, C), ``lora_B`` (1, R, r).

Values are read a factor at a time: an adapter on the experts of Kimi K2.5 has 6.5e9 of them.

Source: peft 0.21, tuners/lora/layer.py (ParamWrapper.get_delta_weight); tinker-cookbook 0.5.8,
weights/_merge_utils.py (plan_expert_ops).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any, Literal

import regex

from kos.errors import UserError
from kos.weights import names
from kos.weights.entries import Entry, read_header, read_json
from kos.weights.names import Run, View
from kos.weights.updates import Piece, Product, Reader, Update, whole

__all__ = ["Adapter", "Update"]

# A pattern comes with the adapter, from a stranger; some take for ever (``(a+)+b``).
PATTERN_SECONDS = 0.5
KEY = re.compile(r"^(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?$")
PREFIXES = ("base_model.model.", names.PREFIX)
TIED = ("lm_head", "model.embed_tokens")
# What the adapter may not use, and its harmless value.
PLAIN = {"use_dora": False, "lora_bias": False, "fan_in_fan_out": False, "modules_to_save": None}
MAX_ALPHA = 1e9
FLOATS = ("F64", "F32", "F16", "BF16")
# Tensors named in a refusal.
SHOWN = 4
Shapes = Mapping[str, tuple[int, ...]]


class Adapter:
    """An adapter folder; reads headers only until an update is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = read_json(folder / "adapter_config.json")
        self._refuse_other_kinds()
        file = folder / "adapter_model.safetensors"
        if not file.exists():
            raise UserError(f"{folder.name} has no adapter_model.safetensors")
        self.entries = read_header(file)
        for entry in self.entries:
            if entry.code not in FLOATS:
                raise UserError(
                    f"{entry.name} in {folder.name}/{file.name} is of type {entry.code}; factors "
                    f"of an adapter are {', '.join(FLOATS)}"
                )
        self._reader = Reader()

    @property
    def writer(self) -> Literal["peft", "tinker"]:
        """Who wrote it, by its names and shapes."""
        is_tinker = any(
            len(entry.shape) == 3 or ".unembed_tokens." in entry.name for entry in self.entries
        )
        return "tinker" if is_tinker else "peft"

    def _refuse_other_kinds(self) -> None:
        found = self.config.get("peft_type", "LORA")
        if found != "LORA":
            raise UserError(f"the adapter is of type {found}; only LORA can be folded in")
        patterns = self.config.get("alpha_pattern") or {}
        alphas: list[Any] = [self.config.get("lora_alpha")]
        alphas += patterns.values() if isinstance(patterns, dict) else [patterns]
        if not all(type(alpha) in (int, float) and abs(alpha) < MAX_ALPHA for alpha in alphas):
            raise UserError(
                f"{self.folder.name}/adapter_config.json has no lora_alpha, or one that is no "
                "number: how strong the adapter is would be a guess"
            )
        for pattern in patterns:
            _check_pattern(pattern, self.folder)
        for field, harmless in PLAIN.items():
            value = self.config.get(field)
            if value and value != harmless:
                raise UserError(
                    f"the adapter was made with {field}={value}: Kos folds plain LoRA only"
                )

    def plan(
        self, shapes: Shapes, *, is_tied: bool = False, config: Mapping[str, Any] | None = None
    ) -> dict[str, Update]:
        """The update of every weight the adapter changes, given all weights' shapes.

        ``config`` is the model's: it tells the heads of fused projections. Raises ``UserError``
        that names the adapter tensors without a target or of the wrong shape: an adapter of
        another model must not be folded in half.
        """
        views = {view.name: view for view in names.views(shapes, config or {})}
        known = {**shapes, **{name: view.shape for name, view in views.items()}}
        plan: dict[str, Update] = {}
        strangers: list[str] = []
        for module, sides in self._pairs(known).items():
            _refuse_tied(module, is_tied=is_tied)
            updates = list(self._updates(module, sides, known))
            strangers += [] if updates else [_described(entry) for entry in sides.values()]
            for update in updates:
                if update.name in plan:
                    raise UserError(
                        f"two parts of the adapter change {update.name}: "
                        f"{plan[update.name].sources[0]} and {update.sources[0]}"
                    )
                plan[update.name] = update
        if strangers:
            shown = ", ".join(strangers[:SHOWN]) + (" ..." if len(strangers) > SHOWN else "")
            raise UserError(
                f"{len(strangers)} of the adapter's {len(self.entries)} tensors fit no weight of "
                f"this base ({shown}): pick the base it was trained on"
            )
        return _gather(plan, views, shapes)

    def _pairs(self, shapes: Shapes) -> dict[str, dict[str, Entry]]:
        """Module name to its A and B; raises when a tensor is no LoRA factor or has no mate."""
        pairs: dict[str, dict[str, Entry]] = defaultdict(dict)
        for entry in self.entries:
            # Beside the factors of an embedding peft saves an unchanged copy of the base's own;
            # Tinker an empty place for a projection that the model has not.
            is_copy = shapes.get(_plain(entry.name).replace(".base_layer.", ".")) == entry.shape
            if is_copy or not entry.size_bytes:
                continue
            match = KEY.match(entry.name)
            if match is None:
                raise UserError(f"the adapter holds {entry.name}, which is no LoRA factor")
            side = (match["embedding"] or "") + match["side"]
            pairs[self._module(_plain(match["module"]), shapes)][side] = entry
        for module, sides in pairs.items():
            if len(sides) != 2:
                raise UserError(f"the adapter holds only lora_{min(sides)} of {module}")
        return pairs

    def _module(self, module: str, shapes: Shapes) -> str:
        """The first alias that names a weight, else ``module`` itself."""
        found = [alias for alias in names.aliases(module) if f"{alias}.weight" in shapes]
        is_head = module.endswith("unembed_tokens")
        return found[0] if found else ("lm_head" if is_head else module)

    def _updates(
        self, module: str, sides: Mapping[str, Entry], shapes: Shapes
    ) -> Iterator[Update]:
        name = f"{module}.weight"
        if "embedding_A" in sides:
            a, b = sides["embedding_A"], sides["embedding_B"]
            if len(a.shape) != 2 or len(b.shape) != 2:
                return
            if shapes.get(name) == (a.shape[1], b.shape[0]) and a.shape[0] == b.shape[1]:
                scale = self._scale(module, a.shape[0])
                product = Product(a, b, scale, self._reader, "embedding")
                yield whole(name, shapes[name], product)
            return
        a, b = sides["A"], sides["B"]
        if len(a.shape) == 3 and len(b.shape) == 3:
            yield from self._outer_updates(module, a, b, shapes)
        elif len(a.shape) != 2 or len(b.shape) != 2:
            return
        elif name in shapes:
            if shapes[name] == (b.shape[0], a.shape[1]) and a.shape[0] == b.shape[1]:
                product = Product(a, b, self._scale(module, a.shape[0]), self._reader)
                yield whole(name, shapes[name], product)
        else:
            yield from self._stacked_updates(module, a, b, shapes)

    def _outer_updates(self, module: str, a: Entry, b: Entry, shapes: Shapes) -> Iterator[Update]:
        """Experts as Tinker writes them; an outer side of one expert is shared by all."""
        found = names.expert_part(module)
        if found is None:
            return
        targets = list(_expert_names(*found, shapes))
        total = len(targets)
        experts = {a.shape[0], b.shape[0]}
        if not total or a.shape[1] != b.shape[2] or experts not in ({total}, {1, total}):
            return
        if any(shapes[name] != (b.shape[1], a.shape[2]) for name in targets):
            return
        scale = self._scale(module, a.shape[1])
        for number, name in enumerate(targets):
            product = Product(a, b, scale, self._reader, "outer", number, total)
            yield whole(name, shapes[name], product)

    def _stacked_updates(
        self, module: str, a: Entry, b: Entry, shapes: Shapes
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
                    product = Product(a, b, scale, self._reader, "stacked", number, total)
                    yield whole(name, (rows, columns), product, place * rows)
            return

    def _scale(self, module: str, rank: int) -> float:
        """alpha / r, or alpha / sqrt(r) for rsLoRA; ``alpha_pattern`` may set alpha by module."""
        alpha: Any = self.config["lora_alpha"]
        for pattern, value in (self.config.get("alpha_pattern") or {}).items():
            if self._matches(pattern, module):
                alpha = value
                break
        return float(alpha) / (sqrt(rank) if self.config.get("use_rslora") else rank)

    def _matches(self, pattern: str, module: str) -> bool:
        """Whether peft would take ``pattern`` for one of ``module``."""
        try:
            found = regex.match(rf"(.*\.)?({pattern})$", module, timeout=PATTERN_SECONDS)
        except TimeoutError:
            raise UserError(
                f"{self.folder.name}/adapter_config.json has an alpha_pattern that takes too "
                f"long to match {module}: {pattern[:80]!r}; name the module plainly"
            ) from None
        return found is not None


def _gather(
    plan: dict[str, Update], views: Mapping[str, View], shapes: Shapes
) -> dict[str, Update]:
    """Updates of parts of a fused weight as one of the whole."""
    gathered: dict[str, Update] = {}
    for name, update in plan.items():
        view = views.get(name)
        if view is None or name in shapes:
            gathered[name] = update
            continue
        (piece,) = update.pieces
        pieces = tuple(Piece(piece.product, _skipping(run, piece.run.skip)) for run in view.runs)
        known = gathered.get(view.whole, Update(view.whole, shapes[view.whole], ()))
        if known.name in plan:
            raise UserError(f"the adapter changes {view.whole} both whole and in parts")
        gathered[view.whole] = replace(known, pieces=known.pieces + pieces)
    return gathered


def _skipping(run: Run, skip: int) -> Run:
    """``run`` of a product whose own rows begin at ``skip``."""
    return run._replace(skip=run.skip + skip)


def _check_pattern(pattern: str, folder: Path) -> None:
    try:
        regex.compile(rf"(.*\.)?({pattern})$")
    except (regex.error, RecursionError, OverflowError) as error:
        raise UserError(
            f"{folder.name}/adapter_config.json has an alpha_pattern that is no regular "
            f"expression ({error}): {pattern[:80]!r}"
        ) from None


def _refuse_tied(module: str, *, is_tied: bool) -> None:
    if is_tied and module in TIED:
        raise UserError(
            f"the adapter changes {module}, which in this base is one with "
            f"{' or '.join(set(TIED) - {module})}: folding it in would change both"
        )


def _described(entry: Entry) -> str:
    return f"{entry.name} {list(entry.shape)}"


def _plain(module: str) -> str:
    for prefix in PREFIXES:
        module = module.removeprefix(prefix)
    return module


def _expert_names(module: str, part: str, shapes: Shapes) -> Iterator[str]:
    number = 0
    while (name := f"{module}.{number}.{part}.weight") in shapes:
        yield name
        number += 1
