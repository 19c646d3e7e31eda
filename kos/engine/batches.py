"""Micro-batches: sequences computed together, the prompt of a group only once.

Shapes: ``B`` sequences, ``T`` positions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kos.engine.base import Datum

# Padded tokens of a micro-batch: bounds the memory of its activations.
BATCH_TOKENS = 2048
# Different prompts share their beginning from this length on, say tool declarations.
MIN_SHARED_TOKENS = 128


@dataclass(frozen=True)
class Batch:
    """Some data and their places in the call.

    With a ``prefix`` every sequence begins with it, and only what follows is padded and
    computed per sequence, to ``width`` tokens at least.
    """

    numbers: tuple[int, ...]
    data: tuple[Datum, ...]
    prefix: tuple[int, ...] = ()
    width: int = 0

    def part(self, number: int, count: int) -> Batch:
        """Every ``count``-th sequence from the ``number``-th on, as wide as the whole batch.

        All parts take the same calls of the model. Without sequences left it is the first one
        again, and has no ``numbers``.
        """
        width = max(len(datum.tokens) for datum in self.data) - len(self.prefix)
        data = self.data[number::count]
        return Batch(self.numbers[number::count], data or self.data[:1], self.prefix, width)

    def with_whole_answers(self) -> Batch:
        """The same batch, its prefix short enough that all that predicts an answer comes after."""
        cut = min([len(self.prefix), *(len(datum.prompt) - 1 for datum in self.data)])
        return replace(self, prefix=self.prefix[: max(0, cut)])

    def pad(self, device: str) -> Mapping[str, Tensor]:
        """``tokens`` after the prefix (B, T); the fields per target from the prefix's last on."""
        cut = len(self.prefix)
        tokens = _stack([datum.tokens[cut:] for datum in self.data], torch.long, self.width)
        first = max(0, cut - 1)
        width = self.width + cut - first
        padded = {"tokens": tokens}
        for name in ("targets", "mask", "logprobs", "advantages"):
            dtype = torch.long if name == "targets" else torch.float32
            rows = [getattr(datum, name)[first:] for datum in self.data]
            padded[name] = _stack(rows, dtype, width)
        return {name: tensor.to(device) for name, tensor in padded.items()}


def micro_batches(data: Sequence[Datum], *, count: int = 1) -> Iterator[Batch]:
    """``data`` in batches of at most ``count * BATCH_TOKENS`` padded tokens, the longest first.

    Sequences with the same prompt share it; the others are batched by length, with what all
    their prompts begin with computed once.
    """
    by_prompt: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, datum in enumerate(data):
        by_prompt[datum.prompt].append(number)
    alone = [numbers[0] for numbers in by_prompt.values() if len(numbers) == 1]
    most = count * BATCH_TOKENS
    yield from _cut(data, alone, _common(data, alone), most)
    for prompt, numbers in by_prompt.items():
        if len(numbers) > 1:
            yield from _cut(data, numbers, prompt, most)


def _cut(
    data: Sequence[Datum], numbers: Iterable[int], prefix: tuple[int, ...], most: int
) -> Iterator[Batch]:
    chosen: list[int] = []
    for number in sorted(numbers, key=lambda number: -len(data[number].tokens)):
        width = len(data[chosen[0]].tokens) - len(prefix) if chosen else 0
        if chosen and len(prefix) + width * (len(chosen) + 1) > most:
            yield _batch(data, chosen, prefix)
            chosen = []
        chosen.append(number)
    if chosen:
        yield _batch(data, chosen, prefix)


def _common(data: Sequence[Datum], numbers: Sequence[int]) -> tuple[int, ...]:
    """What the prompts of ``numbers`` begin with; () when it is too short to matter."""
    if len(numbers) < 2:
        return ()
    prompts = [data[number].prompt for number in numbers]
    # The common beginning of the smallest and the greatest is that of all.
    first, last = min(prompts), max(prompts)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    shared = first[: min(len(first), len(last)) if length is None else length]
    return shared if len(shared) >= MIN_SHARED_TOKENS else ()


def _batch(data: Sequence[Datum], numbers: Sequence[int], prefix: tuple[int, ...]) -> Batch:
    return Batch(tuple(numbers), tuple(data[number] for number in numbers), prefix)


def _stack(rows: Sequence[Sequence[float]], dtype: torch.dtype, width: int) -> Tensor:
    """Rows as (B, T), zeros on the right; T is at least ``width``."""
    width = max(width, *(len(row) for row in rows))
    padded = torch.zeros(len(rows), width, dtype=dtype)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = torch.tensor(row, dtype=dtype)
    return padded
