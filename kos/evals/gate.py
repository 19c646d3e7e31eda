"""A gate for continuous integration: does the candidate lose against the baseline?

It fails when the score's loss is certain beyond ``max_loss``, when a failure rate rises beyond
``max_rise``, or when too many items have no verdict to say either.

``python -m kos.evals.gate BASELINE CANDIDATE --max-loss 0.02`` prints JSON and exits with 1 when
the gate fails, with 2 when a file cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

from kos.errors import UserError
from kos.evals.compare import compare_runs
from kos.evals.finished import read_graded
from kos.evals.scores import (
    CENTER,
    COEFFICIENT,
    Failures,
    GradedAnswer,
    Mode,
    Scoring,
    State,
    count,
)
from kos.evals.tables import rates


@dataclass(frozen=True)
class Limits:
    """What the gate lets pass; all in shares, so 0.02 is two points.

    ``max_loss``: fail when the upper end of the delta's interval lies below its negative.
    ``max_rise``: of any failure rate. ``max_ungraded``: share of the candidate's items without
    a verdict or, where answers failed or were screened, of its answers.
    """

    max_loss: float = 0.0
    max_rise: float = 0.02
    max_ungraded: float = 0.01


class Reason(NamedTuple):
    """One thing that fails the gate, as a sentence with its numbers."""

    rule: str
    found: float
    limit: float
    text: str


@dataclass(frozen=True)
class Verdict:
    """The gate's answer and the numbers behind it."""

    passed: bool
    reasons: tuple[Reason, ...]
    mode: str
    numbers: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON for a build's log."""
        return {
            "passed": self.passed,
            "mode": self.mode,
            "reasons": [reason._asdict() for reason in self.reasons],
            **self.numbers,
        }


def check(
    candidate: Sequence[GradedAnswer],
    baseline: Sequence[GradedAnswer],
    mode: Mode,
    limits: Limits,
    *,
    seed: int = 0,
    failures: Failures = "leave_out",
) -> Verdict:
    """Hold ``candidate`` against ``baseline``; raises UserError when they share no prompt."""
    compared = compare_runs(candidate, baseline, mode, seed=seed, failures=failures, shown=0)
    if compared.overall is None:
        raise UserError(
            "candidate and baseline share no prompt with a score, so the gate cannot tell"
        )
    delta = compared.overall.delta
    ungraded = ungraded_share(candidate)
    reasons = [*_ungraded(ungraded, limits), *_rises(candidate, baseline, limits)]
    if delta.high < -limits.max_loss:
        reasons.append(
            Reason(
                "loss",
                delta.high,
                -limits.max_loss,
                f"the score changes by {delta.mean:+.4f}, at best {delta.high:+.4f}: more than "
                f"the {limits.max_loss:.4f} that may be lost",
            )
        )
    numbers = {
        "delta": delta._asdict(),
        "p": compared.overall.p,
        "minimum_detectable": compared.overall.mde,
        "ungraded": ungraded,
        "not_shared": compared.only_candidate + compared.only_baseline,
    }
    return Verdict(not reasons, tuple(reasons), mode.label, numbers)


def ungraded_share(answers: Sequence[GradedAnswer]) -> float:
    """Share of items without a verdict, or of answers without a score: the larger of the two."""
    counts = count(answers)
    items = counts.ungraded_items / counts.items if counts.items else 0.0
    missing = sum(answer.state not in (State.GRADED, State.UNSCORABLE) for answer in answers)
    return max(items, missing / len(answers)) if answers else 1.0


def _ungraded(share: float, limits: Limits) -> list[Reason]:
    if share <= limits.max_ungraded:
        return []
    text = (
        f"{100 * share:.1f} % of the candidate is ungraded, more than the "
        f"{100 * limits.max_ungraded:.1f} % that may be"
    )
    return [Reason("ungraded", share, limits.max_ungraded, text)]


def _rises(
    candidate: Sequence[GradedAnswer], baseline: Sequence[GradedAnswer], limits: Limits
) -> list[Reason]:
    before = {rate.flag: rate.hits / rate.n for rate in rates(baseline) if rate.n}
    reasons = []
    for rate in rates(candidate):
        now, was = rate.hits / rate.n if rate.n else 0.0, before.get(rate.flag, 0.0)
        if now - was > limits.max_rise:
            text = (
                f"{rate.flag} rises from {100 * was:.1f} % to {100 * now:.1f} %, by more than "
                f"{100 * limits.max_rise:.1f} points"
            )
            reasons.append(Reason(f"failure:{rate.flag}", now - was, limits.max_rise, text))
    return reasons


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 passed, 1 failed, 2 a file that cannot be used."""
    options = _parser().parse_args(arguments)
    limits = Limits(options.max_loss, options.max_rise, options.max_ungraded)
    mode = Mode(options.mode, options.center, options.coef)
    try:
        verdict = check(
            read_graded(options.candidate),
            read_graded(options.baseline),
            mode,
            limits,
            seed=options.seed,
            failures=options.failures,
        )
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(verdict.to_json(), indent=1) + "\n")
    return 0 if verdict.passed else 1


def _parser() -> argparse.ArgumentParser:
    limits = Limits()
    parser = argparse.ArgumentParser(prog="python -m kos.evals.gate", description=__doc__)
    parser.add_argument("baseline", type=Path)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("--max-loss", type=float, default=limits.max_loss)
    parser.add_argument("--max-rise", type=float, default=limits.max_rise)
    parser.add_argument("--max-ungraded", type=float, default=limits.max_ungraded)
    parser.add_argument("--mode", choices=get_args(Scoring), default="healthbench")
    parser.add_argument("--center", type=float, default=CENTER)
    parser.add_argument("--coef", type=float, default=COEFFICIENT)
    parser.add_argument("--failures", choices=get_args(Failures), default="leave_out")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
