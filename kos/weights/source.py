"""What an export reads: a model, with an adapter's change folded in as it is read.

The sum is made in float32 and goes straight to the target: BF16 rounding alone would lose part
of the change (its mean is below the half step of an ordinary BF16 weight). One matrix at a time
is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from kos.weights import int4, kernels
from kos.weights.formats.base import Activations, Target
from kos.weights.lora import Update
from kos.weights.plan_export import TextTensor, partners, text_tensor
from kos.weights.text import Checkpoint

# A partner's matrix is kept for its own turn up to this many values (1 GB in float32).
HELD = 1 << 28


@dataclass
class Source:
    """A model's weights by name, each with what an adapter adds to it."""

    model: Checkpoint
    updates: Mapping[str, Update] = field(default_factory=dict)
    _amax: dict[str, tuple[float, float]] = field(default_factory=dict)
    _held: dict[str, Target] = field(default_factory=dict)

    def tensors(self) -> list[TextTensor]:
        """Names, types and sizes, for ``kos.weights.plan_export``."""
        return [text_tensor(weight) for weight in self.model.values()]

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows ``[start, stop)`` of W + D, float32 where an adapter changes them."""
        rows = self.model[name].read_rows(start, stop)
        update = self.updates.get(name)
        return rows if update is None else rows.float() + update.delta(start, stop)

    def blocks(self, name: str) -> Iterator[Tensor]:
        """W + D in blocks of rows, as ``rows``."""
        for start, stop in self.model[name].blocks():
            yield self.rows(name, start, stop)

    def read(self, name: str) -> Tensor:
        """The whole of W + D, as ``rows``."""
        weight = self.model[name]
        return self.rows(name, 0, weight.shape[0] if weight.shape else 1)

    def target(
        self,
        name: str,
        *,
        seed: int = 0,
        activations: Activations | None = None,
        shares_with: Iterable[str] = (),
    ) -> Target:
        """The weight as a format takes it; ``shares_with`` are those of one global scale."""
        others = [other for other in shares_with if other != name]
        target = self._held.pop(name, None) or self._read_target(name)
        shared, before = None, None
        if others:
            self._amax.setdefault(name, _amax(target))
            found = [self._amax[name], *(self._amax_of(other) for other in others)]
            shared, before = (max(side) for side in zip(*found, strict=True))
        return replace(
            target, activations=activations, seed=seed, shared_amax=shared, base_amax=before
        )

    def _read_target(self, name: str) -> Target:
        weight, update = self.model[name], self.updates.get(name)
        delta = None if update is None else update.delta(0, weight.shape[0])
        if not weight.is_int4:
            return Target(name, weight.read().float(), delta)
        assert weight.scale is not None
        packed, scale_RG = weight.stored.read(), weight.scale.read()
        codes_RC = int4.unpack(packed, weight.shape[1])
        base_RC = kernels.int4_values(packed, scale_RG, weight.shape[1])
        return Target(name, base_RC, delta, codes_RC, scale_RG)

    def _amax_of(self, name: str) -> tuple[float, float]:
        """The partner's largest values; its matrix is held, since its turn is next."""
        if name not in self._amax:
            target = self._read_target(name)
            self._amax[name] = _amax(target)
            self._held.clear()
            if target.base_RC.numel() <= HELD:
                self._held[name] = target
        return self._amax[name]


def sharing(name: str, is_quantised: Callable[[str], bool]) -> list[str]:
    """The quantised weights that share ``name``'s global scale, itself among them."""
    return [other for other in partners(name) if is_quantised(other)]


def _amax(target: Target) -> tuple[float, float]:
    """The largest magnitude with and without the change."""
    merged = kernels.largest(target.merged_RC)
    return merged, merged if target.delta_RC is None else kernels.largest(target.base_RC)
