"""Token by token: what the sampler and the trainer thought of each token of a rollout.

A training writes ``tokens/<step>.jsonl`` below its folder, one rollout a line; see
``kos.rl.token_log``, which is not imported here because it brings torch with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from apps.runs.models import Run
from apps.traces.models import Trace
from apps.traces.reading import TINTS

PAGE = 2000
# A log-ratio below the first bound looks like none; each further one is a step of tint.
DIFFERENCES = (0.05, 0.2, 0.7)
LONGEST_LINE = 64 * 2**20


class Rated(NamedTuple):
    """A token with both log-probabilities; ``tint`` is the class it is coloured by.

    ``difference`` is the trainer's minus the sampler's: above 0 the trainer finds it likelier.
    """

    place: int
    text: str
    sampler: float
    trainer: float | None
    difference: float | None
    tint: str

    @property
    def probability(self) -> float:
        """The sampler's."""
        return math.exp(min(self.sampler, 0.0))

    @property
    def title(self) -> str:
        """What the pointer and a screen reader are told."""
        said = f"sampled at {self.probability:.3f}"
        if self.difference is None:
            return said
        return f"{said}, trainer {self.difference:+.3f}"


class Read(NamedTuple):
    """A page of a rollout's tokens, and the numbers over all of them."""

    tokens: list[Rated]
    num_tokens: int
    versions: list[int]
    kl: float | None
    largest: Rated | None
    has_trainer: bool


def has_tokens(run: Run, step: int) -> bool:
    """Whether the run wrote the tokens of this step."""
    return path_of(run, step).is_file()


def path_of(run: Run, step: int) -> Path:
    """Where the tokens of a step lie."""
    return run.folder / "tokens" / f"{step}.jsonl"


def read(trace: Trace, *, by: str = "difference", after: int = 0) -> Read | None:
    """The tokens of a rollout from place ``after`` on; None where none were written.

    The words of a restricted trace are left out: only their places and numbers stay.
    """
    row = _row(trace)
    if row is None:
        return None
    tokens = [*_rated(row, by=by, is_hidden=trace.is_restricted)]
    known = [token for token in tokens if token.difference is not None]
    return Read(
        tokens=tokens[after : after + PAGE],
        num_tokens=len(tokens),
        versions=_versions(row),
        kl=sum((one.difference or 0.0) ** 2 / 2 for one in known) / len(known) if known else None,
        largest=max(known, key=lambda one: abs(one.difference or 0.0), default=None),
        has_trainer=bool(known),
    )


def _row(trace: Trace) -> Mapping[str, Any] | None:
    assert trace.run is not None, trace
    path = path_of(trace.run, trace.step)
    if not path.is_file():
        return None
    # A step done again after a crash may have written its rollouts twice: the last one counts.
    found = None
    wanted = json.dumps(trace.example_id)
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            # Parsing a line of ten thousand tokens is slow; most are of other prompts.
            if wanted not in line or len(line) > LONGEST_LINE:
                continue
            row = json.loads(line)
            if row["example_id"] == trace.example_id and row["sample"] == trace.sample:
                found = row
    return found


def _rated(row: Mapping[str, Any], *, by: str, is_hidden: bool) -> Iterator[Rated]:
    pieces, trainer = row.get("pieces", ()), row["trained"]
    for place, sampler in enumerate(row["sampled"]):
        if sampler is None or not math.isfinite(sampler):
            continue
        trained = trainer[place] if place < len(trainer) else None
        is_known = trained is not None and math.isfinite(trained)
        difference = trained - sampler if is_known else None
        text = pieces[place] if place < len(pieces) and not is_hidden else f"#{place + 1} "
        tint = _by_difference(difference) if by == "difference" else _by_probability(sampler)
        yield Rated(place + 1, text, sampler, trained if is_known else None, difference, tint)


def _by_difference(difference: float | None) -> str:
    """``m0`` where both agree, up to ``m3`` where the trainer finds it likelier, ``l3`` less so."""
    if difference is None:
        return "m0"
    size = sum(abs(difference) >= bound for bound in DIFFERENCES)
    return f"{'l' if difference < 0 and size else 'm'}{size}"


def _by_probability(sampler: float) -> str:
    probability = math.exp(min(sampler, 0.0))
    return f"t{sum(probability < bound for bound in TINTS)}"


def _versions(row: Mapping[str, Any]) -> list[int]:
    """The policies that wrote it: one, or several where it was continued."""
    return sorted({*row.get("versions", ())})
