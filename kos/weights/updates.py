"""What a weight gains from an adapter: products of factors that are read when asked for.

No torch at import: planning needs names and shapes alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from kos.weights.entries import Entry
from kos.weights.names import Run

if TYPE_CHECKING:
    from torch import Tensor


class Reader:
    """Factors in float32, the last few kept: the blocks of a weight, and the experts of a layer,
    ask for the same in turn."""

    def __init__(self) -> None:
        self.factor = lru_cache(maxsize=6)(self._factor)
        self._stack = lru_cache(maxsize=2)(Entry.read)

    def _factor(self, entry: Entry, form: str, number: int, total: int) -> Tensor:
        if form == "outer":
            first = number if entry.shape[0] > 1 else 0
            return entry.read_rows(first, first + 1)[0].float()
        if form == "rows":
            rank = entry.shape[0] // total
            return entry.read_rows(number * rank, (number + 1) * rank).float()
        if form == "comb":
            # Of a stack in its stored type: in float32 that of Kimi K2.5 would fill a gigabyte.
            stack = self._stack(entry)
            return stack.view(stack.shape[0], -1, total)[:, :, number].float()
        return entry.read().float()


@dataclass(frozen=True)
class Product:
    """scale * B @ A, as two tensors of the adapter hold it.

    ``number`` of ``total`` picks an expert; ``embedding`` turns the product over.
    """

    a: Entry
    b: Entry
    scale: float
    reader: Reader
    form: Literal["plain", "embedding", "stacked", "outer"] = "plain"
    number: int = 0
    total: int = 1

    @property
    def rank(self) -> int:
        """Its r."""
        return self.a.shape[-2] // (self.total if self.form == "stacked" else 1)

    def rows(self, start: int, stop: int) -> Tensor:
        """Rows ``[start, stop)`` of it, float32."""
        left, right = self._factors()
        return (left[start:stop] * self.scale) @ right

    def _factors(self) -> tuple[Tensor, Tensor]:
        forms = {"stacked": ("rows", "comb"), "outer": ("outer", "outer")}
        of_a, of_b = forms.get(self.form, ("whole", "whole"))
        a = self.reader.factor(self.a, of_a, self.number, self.total)
        b = self.reader.factor(self.b, of_b, self.number, self.total)
        return (a.T, b.T) if self.form == "embedding" else (b, a)


class Piece(NamedTuple):
    """A product, and which of its rows fall on which rows of the weight."""

    product: Product
    run: Run


@dataclass(frozen=True)
class Update:
    """What one weight gains. Rows of a weight of three dimensions run over the first two."""

    name: str
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The adapter tensors it is made of."""
        found = [(one.product.a.name, one.product.b.name) for one in self.pieces]
        return tuple(dict.fromkeys(name for pair in found for name in pair))

    @property
    def scale(self) -> float:
        """alpha / r of its first product."""
        return self.pieces[0].product.scale

    @property
    def rank(self) -> int:
        """r of its largest product."""
        return max(one.product.rank for one in self.pieces)

    @property
    def files(self) -> set[Path]:
        """Where its factors lie."""
        return {file for one in self.pieces for file in (one.product.a.file, one.product.b.file)}

    def delta(self, start: int, stop: int) -> Tensor:
        """Rows ``[start, stop)`` of the first dimension, float32."""
        if len(self.pieces) == 1 and len(self.shape) == 2:
            product, run = self.pieces[0]
            if run.first == 0 and run.length == self.shape[0]:
                return product.rows(run.skip + start, run.skip + stop)
        import torch  # planning must not pay for it

        depth = self.shape[1] if len(self.shape) == 3 else 1
        first, last = start * depth, stop * depth
        whole = torch.zeros(last - first, self.shape[-1])
        for product, run in self.pieces:
            low, high = max(first, run.first), min(last, run.first + run.length)
            if low < high:
                shift = run.skip - run.first
                whole[low - first : high - first] = product.rows(low + shift, high + shift)
        return whole.view(stop - start, *self.shape[1:])


def whole(name: str, shape: tuple[int, ...], product: Product, skip: int = 0) -> Update:
    """An update of all rows of a weight."""
    return Update(name, shape, (Piece(product, Run(0, skip, shape[0])),))
