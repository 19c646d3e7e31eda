"""Regressions as reports hold them: one model's rates, bands and style, and two models compared.

The arms may be anything: before and after training, TypeScript and JSON declarations, raw and
with the harness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kos.evals.proportions import compare_rates
from kos.evals.regressions import SEEN_IN, Said, banded, call_f1, rates, style_of
from kos.evals.statistics import holm

# What is told by number of turns and by length of context.
BANDED = ("format_failure", "think_leak", "unclosed_call", "malformed_call", "repetition")
# Rates in which more is better.
GOOD = frozenset({"schema_valid"})
STYLE = (
    ("words", "Words an answer"),
    ("abbreviations", "Abbreviations in 1,000 words"),
    ("abbreviations_with_shorthand", "The same with clinical shorthand"),
    ("invented", "Invented abbreviations in 1,000 words"),
    ("emojis", "Emojis an answer"),
    ("tables", "Tables an answer"),
    ("headings", "Headings an answer"),
    ("bullet_depth", "Deepest level of bullets"),
)


def measured(answers: Sequence[Said]) -> dict[str, Any]:
    """One model's regressions as plain JSON."""
    style = style_of(answers)
    flags = Counter(flag for said in answers for flag in said.flags)
    return {
        "rates": [
            asdict(rate) | {"value": rate.value, "flags": _flags(rate.name, flags)}
            for rate in rates(answers)
        ],
        "bands": {name: banded(answers, name) for name in BANDED},
        "style": None if style is None else asdict(style),
    }


def compared(
    before: Mapping[tuple[str, int], Said], after: Mapping[tuple[str, int], Said]
) -> dict[str, Any]:
    """What changed between two arms, by answer (prompt, sample): rates, style, tool calls.

    Every rate has p of a two-proportion test and, as ``p_holm``, p within all of them.
    """
    ours, theirs = measured([*after.values()]), measured([*before.values()])
    rows = [
        _row(first, second)
        for first, second in zip(theirs["rates"], ours["rates"], strict=True)
        if first["n"] and second["n"]
    ]
    adjusted = holm([row["p"] for row in rows])
    f1 = call_f1(after, before)
    return {
        "rates": [row | {"p_holm": p} for row, p in zip(rows, adjusted, strict=True)],
        "style": _styles(theirs["style"], ours["style"]),
        "calls": asdict(f1) | {"f1": f1.f1},
    }


def _flags(name: str, counted: Mapping[str, int]) -> list[tuple[str, int]]:
    """The flags behind a rate and how many answers have each."""
    return [(flag, counted[flag]) for flag in sorted(SEEN_IN.get(name, ())) if counted.get(flag)]


def _row(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    change = compare_rates(first["hits"], first["n"], second["hits"], second["n"])
    assert change is not None
    return {
        "name": first["name"],
        "label": first["label"],
        "unit": first["unit"],
        "is_good": first["name"] in GOOD,
        "before": {"hits": first["hits"], "n": first["n"], "value": first["value"]},
        "after": {"hits": second["hits"], "n": second["n"], "value": second["value"]},
        **change._asdict(),
    }


def _styles(
    first: Mapping[str, Any] | None, second: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    if first is None or second is None:
        return []
    return [
        {"name": name, "label": label, "before": first[name], "after": second[name]}
        for name, label in STYLE
    ]
