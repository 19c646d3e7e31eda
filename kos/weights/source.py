"""What an export reads: a model, with an adapter's change folded in as it is read.

The sum is made in float32 and goes straight to the target: BF16 rounding alone would lose part
of the change (its mean is below the half step of an ordinary BF16 weight). One matrix at a time
is in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from kos.weights import int4, kernels
from kos.weights.fold import merged_rows
from kos.weights.formats.base import Activations, Target
from kos.weights.lora import Update
from kos.weights.plan_export import TextTensor, partners, text_tensor
from kos.weights.text import Checkpoint

# A partner's matrix is kept for its own turn up to this many values (1 GB in float32).
HELD = 1 << 28
# Matrices whose room is kept for the next: one and its partner.
SPARE = 2


@dataclass
class Source:
    """A model's weights by name, each with what an adapter adds to it."""

    model: Checkpoint
    updates: Mapping[str, Update] = field(default_factory=dict)
    _amax: dict[Key, tuple[float, float]] = field(default_factory=dict)
    _held: dict[Key, Target] = field(default_factory=dict)
    _spare: list[Tensor] = field(default_factory=list)

    def tensors(self) -> list[TextTensor]:
        """Names, types and sizes, for ``kos.weights.plan_export``."""
        return [text_tensor(weight) for weight in self.model.values()]

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows ``[start, stop)`` of W + D, float32 where an adapter changes them."""
        weight, update = self.model[name], self.updates.get(name)
        if update is None:
            return weight.read_rows(start, stop)
        return merged_rows(weight, update, start, stop)

    def blocks(self, name: str) -> Iterator[Tensor]:
        """W + D in blocks of rows, as ``rows``."""
        for start, stop in self.model[name].blocks():
            yield self.rows(name, start, stop)

    def read(self, name: str) -> Tensor:
        """The whole of W + D, as ``rows``."""
        weight = self.model[name]
        if name not in self.updates:
            return self.rows(name, 0, weight.shape[0] if weight.shape else 1)
        # Block by block: what a sum is made of stays in the processor's cache.
        whole_RC = self._room(weight.shape)
        for start, stop in weight.blocks():
            whole_RC[start:stop] = self.rows(name, start, stop)
        return whole_RC

    def release(self, target: Target) -> None:
        """Give back the sum of a target that nobody reads any more: the next is read into it.

        A matrix of an expert that is mapped anew each time costs 14,000 page faults.
        """
        if target.delta_RC is None and target.name in self.updates:
            self._spare = [*self._spare, target.base_RC][-SPARE:]

    def _room(self, shape: tuple[int, ...]) -> Tensor:
        """float32 of that shape, its values whatever they are."""
        for place, spare in enumerate(self._spare):
            if spare.numel() == math.prod(shape):
                return self._spare.pop(place).view(shape)
        return torch.empty(shape)

    def target(
        self,
        name: str,
        *,
        seed: int = 0,
        activations: Activations | None = None,
        shares_with: Iterable[str] = (),
        is_apart: bool = True,
    ) -> Target:
        """The weight as a format takes it; ``shares_with`` are those of one global scale.

        ``is_apart`` leaves base and change as two; otherwise their sum is read in one pass and
        stands as the base, with no change, no codes and no ``base_amax``.
        """
        others = [other for other in shares_with if other != name]
        key = Key(name, is_apart)
        target = self._held.pop(key, None) or self._read_target(key)
        shared, before = None, None
        if others:
            self._amax.setdefault(key, _amax(target))
            found = [self._amax[key], *(self._amax_of(Key(other, is_apart)) for other in others)]
            shared, before = (max(side) for side in zip(*found, strict=True))
        return replace(
            target,
            activations=activations,
            seed=seed,
            shared_amax=shared,
            base_amax=before if is_apart else None,
        )

    def _read_target(self, key: Key) -> Target:
        name = key.name
        if not key.is_apart:
            return Target(name, self.read(name).float())
        weight, update = self.model[name], self.updates.get(name)
        delta = None if update is None else update.delta(0, weight.shape[0])
        if not weight.is_int4:
            return Target(name, weight.read().float(), delta)
        assert weight.scale is not None
        packed, scale_RG = weight.stored.read(), weight.scale.read()
        codes_RC = int4.unpack(packed, weight.shape[1])
        base_RC = kernels.int4_values(packed, scale_RG, weight.shape[1])
        return Target(name, base_RC, delta, codes_RC, scale_RG)

    def _amax_of(self, key: Key) -> tuple[float, float]:
        """The partner's largest values; its matrix is held, since its turn is next."""
        if key not in self._amax:
            target = self._read_target(key)
            self._amax[key] = _amax(target)
            self._held.clear()
            if target.base_RC.numel() <= HELD:
                self._held[key] = target
        return self._amax[key]


class Key(NamedTuple):
    """A weight, and whether it is read as base and change or as their sum."""

    name: str
    is_apart: bool


def sharing(name: str, is_quantised: Callable[[str], bool]) -> list[str]:
    """The quantised weights that share ``name``'s global scale, itself among them."""
    return [other for other in partners(name) if is_quantised(other)]


def _amax(target: Target) -> tuple[float, float]:
    """The largest magnitude with and without the change."""
    merged = kernels.largest(target.merged_RC)
    return merged, merged if target.delta_RC is None else kernels.largest(target.base_RC)
