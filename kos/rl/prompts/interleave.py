"""Several sets of tasks in one training, each with its share of every batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Literal

from pydantic import Field, field_validator

from kos.data.rubrics import RubricTask
from kos.errors import UserError
from kos.rl.prompts.base import PROMPTS, PromptSampler, Record, walk

REST = "rest"
# Multiples of the golden ratio fill the unit interval more evenly than any draw.
GOLDEN = (math.sqrt(5) - 1) / 2


@PROMPTS.register
class Interleave(PromptSampler):
    """Sets of tasks by ratio, in every batch.

    Each batch has a set's share of prompts, rounded up or down, and over the batches the shares
    come out even. Within a set every prompt is asked equally often.
    """

    kind: Literal["interleave"] = "interleave"
    ratios: tuple[str, ...] = Field(
        (),
        description="A tag and its ratio a line, as agentic: 1 and rest: 3. A task belongs to the "
        "first line that fits; use case and type count as tags, rest is what no line takes.",
    )

    @field_validator("ratios")
    @classmethod
    def _can_be_read(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        _read(lines)
        return lines

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """Each set's ratio, by its tag; without a line all tasks are one set."""
        return _read(self.ratios) or {REST: 1.0}

    def pick(
        self,
        tasks: Sequence[RubricTask],
        count: int,
        *,
        step: int,
        num_steps: int,
        seed: int,
        record: Record,
    ) -> list[int]:
        """Each set's prompts, one set after another. Raises UserError when a set is empty."""
        sets = self._sets(tasks)
        before = [0] * len(sets)
        for earlier in range(1, step):
            before = [a + b for a, b in zip(before, self.counts(count, earlier), strict=True)]
        picked = []
        for (tag, places), first, num in zip(
            sets.items(), before, self.counts(count, step), strict=True
        ):
            walked = walk(len(places), first, num, seed=f"{seed},{tag}")
            picked += [places[place] for place in walked]
        return picked

    def counts(self, count: int, step: int) -> list[int]:
        """How many prompts of each set step 1, 2, ... takes; they add up to ``count``.

        Systematic rounding: sums of shares are rounded at one common offset, so that each set
        gets its share of ``count`` rounded up or down, and the offset wanders with the steps.
        """
        offset = step * GOLDEN % 1
        total = sum(self.shares.values())
        # The last bound is count itself: a sum of fractions may fall short of it.
        inner = [count * part / total for part in accumulate(self.shares.values())][:-1]
        bounds = [0, *(math.floor(bound + offset) for bound in inner), count]
        return [high - low for low, high in pairwise(bounds)]

    def _sets(self, tasks: Sequence[RubricTask]) -> dict[str, list[int]]:
        sets: dict[str, list[int]] = {tag: [] for tag in self.shares}
        for place, task in enumerate(tasks):
            tags = {*task.tags, task.use_case, task.type}
            tag = next((tag for tag in sets if tag in tags), REST)
            if tag in sets:
                sets[tag].append(place)
        for tag, places in sets.items():
            if not places:
                raise UserError(
                    f"no training prompt belongs to {tag!r}; tag some, or take its line out of "
                    "the ratios"
                )
        return sets


def _read(lines: Sequence[str]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for line in filter(str.strip, lines):
        tag, _, ratio = (part.strip() for part in line.rpartition(":"))
        if not tag or not _is_ratio(ratio):
            raise ValueError(f"{line!r} is no ratio; write a tag and a number, as agentic: 1")
        if tag in shares:
            raise ValueError(f"{tag} has two lines; keep one")
        shares[tag] = float(ratio)
    return shares


def _is_ratio(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False
