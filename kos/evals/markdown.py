"""The parts of a report's Markdown that stand on the answers themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

INVENTED_SHOWN = 10


def figures(benchmark: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A benchmark's own numbers."""
    if not rows:
        return []
    return [
        "",
        f"## {benchmark}",
        "",
        "| number | part | model | value | 95 % interval | of |",
        "|---|---|---|---:|---|---:|",
        *(
            f"| {row['name']} | {row['part']} | {row['model']} | {_number(row['value'])} | "
            f"{_number(row['low'])} to {_number(row['high'])} | {row['n']} |"
            for row in rows
        ),
    ]


def regressions(by_model: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every rate, models across; rates of which nothing was counted are left out."""
    names = [*by_model]
    if not names:
        return []
    found = {name: {rate["name"]: rate for rate in by_model[name]["rates"]} for name in names}
    lines = [
        "",
        "## Regressions",
        "",
        "Rates with 95 % Wilson intervals; the unit is in the second column.",
        "",
        "| fault | of | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for key, first in found[names[0]].items():
        cells = [found[name][key] for name in names]
        if any(cell["n"] for cell in cells):
            told = " | ".join(_rate(cell) for cell in cells)
            lines.append(f"| {first['label']} | {first['unit']} | {told} |")
    return [*lines, *_invented(by_model)]


def changes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What differs between one model and the next, as far as it is more than chance."""
    lines = []
    for row in rows:
        found = [rate for rate in row["rates"] if rate["p_holm"] < 0.05]
        told = "; ".join(
            f"{rate['label'].lower()} {_percent(rate['before']['value'])} to "
            f"{_percent(rate['after']['value'])} (p {rate['p_holm']:.3g})"
            for rate in found
        )
        lines += [
            "",
            f"{row['baseline']} to {row['candidate']}, two-proportion tests with Holm: "
            f"{told or 'no rate differs by more than chance'}.",
        ]
    return lines


def _invented(by_model: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for name, found in by_model.items():
        words = (found["style"] or {}).get("most_invented", ())[:INVENTED_SHOWN]
        if words:
            told = ", ".join(f"{word} ({count})" for word, count in words)
            lines += ["", f"Most frequent unknown abbreviations of {name}: {told}."]
    return lines


def _rate(cell: Mapping[str, Any]) -> str:
    if not cell["n"]:
        return "-"
    low, high = _percent(cell["low"]), _percent(cell["high"])
    return f"{cell['hits']}/{cell['n']} ({low} to {high})"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
