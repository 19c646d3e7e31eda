"""Score finished grades, and compare two files of them.

``python -m kos.evals.score FILE --mode healthbench --json`` prints simple-evals' metrics under
simple-evals' names, with our intervals beside; ``python -m kos.evals.score compare A B`` the
paired statistics of candidate B against baseline A. FILE holds JSON lines (or is simple-evals'
``*_allresults.json``), plain or gzip; several rows of one prompt are its samples.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

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
    by_prompt,
    count,
    metric_values,
    score,
    worst_at_k,
)
from kos.evals.statistics import clipped_mean_deviation, deviation, estimate

ADJUSTED = "_length_adjusted"


def metrics(
    answers: Sequence[GradedAnswer], mode: Mode, *, failures: Failures = "leave_out"
) -> dict[str, Any]:
    """``{"metrics": ..., "intervals": ...}`` and what must be said beside them.

    Metrics are simple-evals': over rows. Intervals are ours: over prompts, whose samples are
    averaged first, on unclipped values; where all prompts have equally many samples both have
    the same mean. ``healthbench_len`` keeps the unadjusted numbers and adds each name again
    with ``_length_adjusted``. Raises UserError when no answer is graded.
    """
    shown = [(replace(mode, name="healthbench"), ""), (mode, ADJUSTED)]
    if mode.name != "healthbench_len":
        shown = [(mode, "")]
    found: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    for one, ending in shown:
        values = metric_values(answers, one, failures=failures)
        if not values:
            raise UserError("no answer is graded: each has an item without a verdict or failed")
        for name, pairs in values.items():
            found |= _metric(f"{name}{ending}", [value for _, value in pairs], one)
            intervals[f"{name}{ending}"] = _interval(pairs)
    last = f"overall_score{shown[-1][1]}"
    # simple-evals takes the score out of its metrics and leaves its two companions in.
    found |= {
        "score:n_samples": found[f"{last}:n_samples"],
        "score:bootstrap_std": found[f"{last}:bootstrap_std"],
    }
    return {
        "mode": mode.label,
        "failures": failures,
        "score": found[last],
        "metrics": found,
        "intervals": intervals,
        "counts": count(answers)._asdict(),
        "worst_at_k": _worst(answers, mode, failures),
    }


def _metric(name: str, values: list[float], mode: Mode) -> dict[str, float]:
    is_clipped = mode.name.startswith("healthbench")
    plain = deviation(values, ddof=0) / math.sqrt(len(values))
    return {
        name: mode.headline(fmean(values)),
        f"{name}:n_samples": len(values),
        f"{name}:bootstrap_std": clipped_mean_deviation(values) if is_clipped else plain,
    }


def _interval(pairs: Sequence[tuple[str, float]]) -> dict[str, float | int]:
    groups: dict[str, list[float]] = defaultdict(list)
    for prompt, value in pairs:
        groups[prompt].append(value)
    found = estimate([fmean(values) for values in groups.values()])
    assert found is not None
    return {
        "mean": found.mean,
        "standard_error": found.standard_error,
        "low": found.low,
        "high": found.high,
        "n_prompts": found.n,
    }


def _worst(answers: Sequence[GradedAnswer], mode: Mode, failures: Failures) -> dict[str, float]:
    """Worst-at-k for every k that each prompt has samples for."""
    groups = by_prompt(answers, mode, failures=failures)
    most = min((len(values) for values in groups.values()), default=0)
    found = {k: worst_at_k(groups, k) for k in range(1, min(most, 16) + 1)}
    return {str(k): mode.headline(value) for k, value in found.items() if value is not None}


def compared(
    baseline: Sequence[GradedAnswer],
    candidate: Sequence[GradedAnswer],
    mode: Mode,
    *,
    seed: int = 0,
    failures: Failures = "leave_out",
) -> dict[str, Any]:
    """The paired statistics as JSON. Raises UserError when the files share no prompt."""
    found = compare_runs(candidate, baseline, mode, seed=seed, failures=failures)
    if found.overall is None:
        raise UserError("the files share no prompt with a score, so nothing can be compared")
    overall = found.overall
    return {
        "mode": mode.label,
        "seed": seed,
        "baseline": _headline(baseline, mode, failures),
        "candidate": _headline(candidate, mode, failures),
        "shared_prompts": overall.delta.n,
        "only_baseline": found.only_baseline,
        "only_candidate": found.only_candidate,
        "delta": overall.delta._asdict(),
        "bootstrap_interval": overall.bootstrap._asdict(),
        "p_sign_flip": overall.p,
        "p_t": overall.t_p,
        "wins": overall.wins,
        "ties": overall.ties,
        "losses": overall.losses,
        "minimum_detectable": overall.mde,
        "unpaired_standard_error": overall.unpaired_error,
        "correlation": overall.correlation,
        "win_rate": found.wins._asdict(),
        "length_matched_win_rate": found.matched_wins._asdict(),
        "slices": [
            asdict(row) | {"is_small": row.is_small} for f in found.forest for row in f.rows
        ],
        "failures": [change._asdict() for change in found.failures],
        "regressions": [
            {"prompt_id": row.prompt_id, "delta": row.delta} for row in found.regressions
        ],
    }


def _headline(answers: Sequence[GradedAnswer], mode: Mode, failures: Failures) -> dict[str, Any]:
    found = score(answers, mode, failures=failures)
    mean = None if found.estimate is None else found.estimate.mean
    return {"score": found.value, "mean": mean, **found.counts._asdict()}


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 with a sentence on standard error when a file cannot be used."""
    is_compare = bool(arguments) and arguments[0] == "compare"
    options = _parser(is_compare).parse_args(arguments[is_compare:])
    mode = Mode(options.mode, options.center, options.coef)
    try:
        if is_compare:
            before, after = _read(options.baseline, mode), _read(options.candidate, mode)
            result = compared(before, after, mode, seed=options.seed, failures=options.failures)
            text = _compare_table(result)
        else:
            answers = _read(options.file, mode)
            result = metrics(answers, mode, failures=options.failures)
            text = _score_table(result)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(result, indent=1) + "\n" if options.json else text)
    return 0


def _parser(is_compare: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kos.evals.score", description=__doc__)
    if is_compare:
        parser.add_argument("baseline", type=Path)
        parser.add_argument("candidate", type=Path)
        parser.add_argument("--seed", type=int, default=0)
    else:
        parser.add_argument("file", type=Path)
    parser.add_argument("--mode", choices=get_args(Scoring), default="healthbench")
    parser.add_argument("--center", type=float, default=CENTER, help="characters without cost")
    parser.add_argument("--coef", type=float, default=COEFFICIENT, help="cost of a character")
    parser.add_argument("--failures", choices=get_args(Failures), default="leave_out")
    parser.add_argument("--json", action="store_true")
    return parser


def _read(path: Path, mode: Mode) -> list[GradedAnswer]:
    try:
        answers = read_graded(path)
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from error
    if mode.name == "healthbench_len" and not any(answer.chars for answer in answers):
        raise UserError(f"{path.name}: no row has a completion, whose length {mode.name} needs")
    return answers


def _score_table(result: dict[str, Any]) -> str:
    counts = result["counts"]
    lines = [
        f"{result['mode']}: {counts['requested']} answers asked for, {counts['answered']} given, "
        f"{counts['graded']} graded",
        "",
        f"{'metric':<48}{'score':>9}{'mean':>9}{'95 % interval':>20}{'prompts':>9}{'rows':>7}",
    ]
    for name, found in result["intervals"].items():
        interval = f"{found['low']:.4f} to {found['high']:.4f}"
        lines.append(
            f"{name:<48}{result['metrics'][name]:>9.4f}{found['mean']:>9.4f}{interval:>20}"
            f"{found['n_prompts']:>9}{result['metrics'][f'{name}:n_samples']:>7}"
        )
    return "\n".join(lines) + "\n"


def _compare_table(result: dict[str, Any]) -> str:
    delta, bootstrap = result["delta"], result["bootstrap_interval"]
    lines = [
        f"{result['mode']}: {result['shared_prompts']} shared prompts; "
        f"{result['only_baseline']} only in the baseline, "
        f"{result['only_candidate']} only in the candidate",
        f"baseline {result['baseline']['mean']:.4f}, candidate {result['candidate']['mean']:.4f} "
        "(unclipped means, each over its own prompts)",
        f"delta {delta['mean']:+.4f}, 95 % {delta['low']:+.4f} to {delta['high']:+.4f} (paired t), "
        f"{bootstrap['low']:+.4f} to {bootstrap['high']:+.4f} (bootstrap, seed {result['seed']})",
        f"p {result['p_sign_flip']:.4g} (sign flips), {result['p_t']:.4g} (t); "
        f"{result['wins']} won, {result['ties']} tied, {result['losses']} lost",
        f"minimum detectable difference (80 %) {result['minimum_detectable']:.4f}",
        "",
        f"{'slice':<44}{'n':>6}{'delta':>9}{'95 % interval':>21}{'p (Holm)':>10}",
    ]
    return "\n".join([*lines, *[_slice_line(row) for row in result["slices"]]]) + "\n"


def _slice_line(row: dict[str, Any]) -> str:
    name = f"{row['family']}: {row['name']}"
    if row["delta"] is None:
        return f"{name:<44}{row['n']:>6}"
    mean, _, low, high, _ = row["delta"]
    p = "small" if row["is_small"] else f"{row['p_holm']:.4f}"
    return f"{name:<44}{row['n']:>6}{mean:>+9.4f}{f'{low:+.4f} to {high:+.4f}':>21}{p:>10}"


if __name__ == "__main__":
    # The command makes many small objects, drops none and ends: collecting costs a fifth of it.
    gc.disable()
    sys.exit(main(sys.argv[1:]))
