"""A grader held against physicians, as HealthBench's meta-evaluation does it.

Every (grader, physician) pair on one row counts once, over all rows: pooled. The paper's own
table takes the mean over its 34 criteria instead, which is another number (0.621 where pooling
gives 0.660), so ``by_category`` and ``balanced_mean`` give that one.
Source: openai/simple-evals, healthbench_meta_eval.py; HealthBench (arXiv:2505.08775).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple


class Agreement(NamedTuple):
    """Precision, recall and F1 of both verdicts over ``n`` pairs.

    A part is None where nobody gave the verdict it divides by.
    """

    n: int
    precision_met: float | None
    recall_met: float | None
    f1_met: float | None
    precision_unmet: float | None
    recall_unmet: float | None
    f1_unmet: float | None

    @property
    def balanced_f1(self) -> float | None:
        """simple-evals' ``pairwise_model_f1_balanced``: the mean of both F1."""
        if self.f1_met is None or self.f1_unmet is None:
            return None
        return (self.f1_met + self.f1_unmet) / 2


def agreement(verdicts: Sequence[bool], labels: Sequence[Sequence[bool]]) -> Agreement:
    """The grader's ``verdicts`` against all ``labels`` of each row."""
    pairs = [
        (verdict, label) for verdict, row in zip(verdicts, labels, strict=True) for label in row
    ]
    met, unmet = _of_class(pairs, True), _of_class(pairs, False)
    return Agreement(len(pairs), *met, *unmet)


def by_category(
    verdicts: Sequence[bool], labels: Sequence[Sequence[bool]], categories: Sequence[str]
) -> dict[str, Agreement]:
    """The same, apart for each category of rows."""
    groups: dict[str, tuple[list[bool], list[Sequence[bool]]]] = defaultdict(lambda: ([], []))
    for verdict, row, category in zip(verdicts, labels, categories, strict=True):
        groups[category][0].append(verdict)
        groups[category][1].append(row)
    return {name: agreement(*group) for name, group in groups.items()}


def balanced_mean(found: Mapping[str, Agreement]) -> float | None:
    """The paper's macro F1: the mean of the categories that have one."""
    values = [one.balanced_f1 for one in found.values() if one.balanced_f1 is not None]
    return fmean(values) if values else None


def _of_class(
    pairs: Sequence[tuple[bool, bool]], verdict: bool
) -> tuple[float | None, float | None, float | None]:
    both = sum(ours == theirs == verdict for ours, theirs in pairs)
    said = sum(ours == verdict for ours, _ in pairs)
    true = sum(theirs == verdict for _, theirs in pairs)
    if not said or not true:
        return (both / said if said else None), (both / true if true else None), None
    precision, recall = both / said, both / true
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0
