"""Answers that grow together: one forward pass gives every row of a model its next token.

What was read once is not read again: keys and values of earlier conversations are kept, up to
``MEMORY_BYTES``, and a prompt that begins like one of them goes on from there. So the system
prompt with its tool declarations is computed once, and a turn after a tool call costs only
what is new.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kos.engine.base import SamplingParams
from kos.engine.cache import Prefix, RowCache
from kos.engine.sampling import Sampler, draw

MEMORY_BYTES = 512_000_000
# Slots are made this many at a time: growing copies every row.
SLOTS = 512


@dataclass(eq=False)
class Row:
    """One answer: the prompt and what was said so far in ``tokens``."""

    tokens: list[int]
    params: SamplingParams
    generator: torch.Generator
    logits_V: Tensor | None

    def draw(self, logits_V: Tensor) -> tuple[int, float]:
        """The next token and its log-probability, from the row's own random numbers."""
        draws_1 = torch.rand(1, generator=self.generator).to(logits_V.device)
        token_1, logp_1 = draw(logits_V[None], draws_1, self.params)
        self.tokens.append(int(token_1[0]))
        return self.tokens[-1], float(logp_1[0])


@dataclass
class PrefixMemory:
    """Keys and values of token sequences; the one used longest ago goes first."""

    budget_bytes: int = MEMORY_BYTES
    _kept: OrderedDict[tuple[int, ...], Prefix] = field(default_factory=OrderedDict)

    def longest(self, prompt: Sequence[int]) -> tuple[Prefix | None, int]:
        """What begins most like ``prompt``, and how many tokens they share.

        The last token of the prompt never counts: it must be read for what follows it.
        """
        best: tuple[int, ...] = ()
        length = 0
        for tokens in self._kept:
            shared = _num_shared(tokens, prompt)
            if shared > length:
                best, length = tokens, shared
        if not best:
            return None, 0
        self._kept.move_to_end(best)
        return self._kept[best], min(length, len(prompt) - 1)

    def keep(self, tokens: Sequence[int], prefix: Prefix) -> None:
        """Remember a sequence, and forget those it begins with."""
        covered = [kept for kept in self._kept if tuple(tokens[: len(kept)]) == kept]
        for kept in covered:
            del self._kept[kept]
        self._kept[tuple(tokens)] = prefix
        while len(self._kept) > 1 and self.size_bytes > self.budget_bytes:
            self._kept.popitem(last=False)

    @property
    def size_bytes(self) -> int:
        """Memory in use."""
        return sum(prefix.size_bytes for prefix in self._kept.values())


class Rows:
    """The rows of one model. Row i of ``_rows`` is row i of the cache."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._memory = PrefixMemory()
        self._rows: list[Row] = []
        self._cache: RowCache | None = None

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return self._sampler.end_ids

    @torch.inference_mode()
    def begin(self, prompt: Sequence[int], params: SamplingParams) -> Row:
        """Read a prompt; the row takes part in the steps from now on."""
        start = self._sampler.read_on(prompt, *self._memory.longest(prompt))
        self._memory.keep(prompt, start.prefix)
        self._open_cache(start.prefix, len(prompt)).write(len(self._rows), start.prefix)
        generator = torch.Generator().manual_seed(params.seed)
        row = Row([*prompt], params, generator, start.logits_V)
        self._rows.append(row)
        return row

    @torch.inference_mode()
    def step(self) -> list[tuple[Row, int, float]]:
        """The next token of every row, with its log-probability."""
        # A row that was just begun has its logits; such rows come last.
        grown = [row for row in self._rows if row.logits_V is None]
        if grown:
            assert self._cache is not None
            slots = [len(row.tokens) - 1 for row in grown]
            self._cache.grow(num_rows=len(self._rows), num_slots=_rounded(max(slots) + 1))
            last_B = self._sampler.tensor([row.tokens[-1] for row in grown])
            logits_BV = self._sampler.extend(last_B, self._sampler.tensor(slots), self._cache)
            for row, logits_V in zip(grown, logits_BV, strict=True):
                row.logits_V = logits_V
        return [(row, *self._draw(row)) for row in self._rows]

    @torch.inference_mode()
    def end(self, row: Row) -> None:
        """Take a row out and remember what it read and said."""
        assert self._cache is not None
        place = self._rows.index(row)
        num_read = len(row.tokens) - 1 if row.logits_V is None else len(row.tokens)
        self._memory.keep(row.tokens[:num_read], self._cache.read(place, num_read))
        # Rows that were just begun stay last, so the others close up in order.
        for later in range(place + 1, len(self._rows)):
            self._cache.move(later, later - 1, len(self._rows[later].tokens))
        del self._rows[place]

    def _draw(self, row: Row) -> tuple[int, float]:
        assert row.logits_V is not None
        drawn = row.draw(row.logits_V)
        row.logits_V = None
        return drawn

    def _open_cache(self, like: Prefix, num_tokens: int) -> RowCache:
        num_slots = _rounded(num_tokens + 1)
        if self._cache is None:
            self._cache = RowCache(like, num_rows=1, num_slots=num_slots)
        self._cache.grow(num_rows=len(self._rows) + 1, num_slots=num_slots)
        return self._cache


def _rounded(num_slots: int) -> int:
    return -(-num_slots // SLOTS) * SLOTS


def _num_shared(left: Sequence[int], right: Sequence[int]) -> int:
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))
