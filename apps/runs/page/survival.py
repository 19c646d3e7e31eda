"""What an export keeps of the adapter, as a page: its weights, its answers, the gate, the advice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.runs.models import Run
from apps.runs.page.frame import frame, visible_run
from kos.weights.formats.base import FORMATS
from kos.weights.survival.gate import MIN_GAIN, MIN_SLOPE, gate

Line = Mapping[str, Any]
# Where the two kinds of job leave their reports, below the run's folder.
FILES = {"survival": "survival.json", "export": "quantised/survival.json"}
# Upper ends of the heat map's classes: what is erased, mostly lost, kept, overdone.
STEPS = ((MIN_SLOPE / 2, "s1"), (MIN_SLOPE, "s2"), (MIN_GAIN, "s3"), (1.25, "s4"), (1.6, "s5"))
DASH = "\N{EN DASH}"


class Cell(NamedTuple):
    """A number as text, and its class where it is coloured."""

    text: str
    css: str = ""


class Row(NamedTuple):
    """A line of a table: its name, its cells, and what is said of it."""

    name: str
    cells: list[Cell]
    is_chosen: bool = False
    key: str = ""
    passed: bool | None = None


class Whisker(NamedTuple):
    """A mean with its interval as places in a picture 300 wide."""

    name: str
    x: float
    low: float
    high: float
    text: str


@engineer
@require_GET
def survival(request: PageRequest, pk: int) -> HttpResponse:
    """The report of a survival or an export run; what of it is shown is chosen by ``format``."""
    run = visible_run(request, pk)
    report = read(run)
    context = frame(run, "survival") | {"report": report}
    if report:
        context |= shown(report, request.GET.get("format", ""))
    return render(request, "runs/survival.html", context)


def read(run: Run) -> dict[str, Any]:
    """The report as its job left it; empty where there is none (yet)."""
    path = Path(run.folder) / FILES.get(run.kind, "survival.json")
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())
    if "formats" in found:
        return found
    # An export's own has one format, which its config names.
    format = run.settings.model_dump()["format"]["kind"]
    one = {"kind": format, "label": FORMATS[format].label(), **found}
    return {"formats": [one]} if "all" in found else {}


def shown(report: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    """What the page draws of a report; ``wanted`` is a format's place in it."""
    lines: Sequence[Line] = report["formats"]
    place = number(wanted)
    if place is None or place >= len(lines):
        place = _best(report)
    line = lines[place]
    asked = [one for one in lines if one.get("behaviour")]
    return {
        "line": line,
        "name": name_of(line),
        "gate": gate(line),
        "sample": report.get("sample") or {},
        "is_sample": _is_sample(report),
        "advice": report.get("advice"),
        "ideal": report.get("ideal"),
        "export": report.get("export"),
        "formats": [format_row(one, number, place) for number, one in enumerate(lines)],
        "answers": [answer_row(one, number, place) for number, one in enumerate(lines)]
        if asked
        else [],
        "gains": whiskers(asked, "gain_kept", _percent),
        "divergences": whiskers(asked, "kl", lambda value: f"{value:.4f}"),
        "kinds": [kind_row(kind, found) for kind, found in line["kinds"].items()],
        "layers": _layers(line),
        "heat": heat(line),
        "buckets": [bucket_row(bucket) for bucket in line["buckets"]],
        "parted": _parted(line),
        "bf16": next((one for one in lines if one["kind"] == "bf16"), None),
        "min_slope": MIN_SLOPE,
        "min_gain": round(100 * MIN_GAIN),
    }


def name_of(line: Line) -> str:
    """A format's label up to where it begins to explain."""
    return re.split(r":| \(", str(line["label"]))[0]


def format_row(line: Line, number: int, chosen: int) -> Row:
    """A format beside the others, by its weights."""
    found = line["all"]
    cells = [
        Cell(f"{line['bits']:.2f}" if "bits" in line else DASH),
        Cell(_percent(found.get("codes_changed"), 2)),
        Cell(_percent(found.get("scales_changed"), 2)),
        Cell(_decimals(found.get("slope"), 3), heat_class(found.get("slope"))),
        Cell(_decimals(found.get("slope_out"), 3), heat_class(found.get("slope_out"))),
        Cell(_decimals(found.get("cos"), 3)),
        Cell(_decimals(found.get("snr_db"), 1)),
        Cell(_percent(found.get("error"), 2)),
        Cell(_percent(found.get("base_error"), 2)),
        Cell(_percent(found.get("delta_error"), 2)),
    ]
    return Row(name_of(line), cells, number == chosen, str(number), gate(line).passed)


def answer_row(line: Line, number: int, chosen: int) -> Row:
    """A format beside the others, by its answers."""
    found = line.get("behaviour") or {}
    parity = found.get("parity")
    cells = [
        Cell(_interval(found.get("nll_own"), lambda value: f"{value:.4f}", is_short=True)),
        Cell(_interval(found.get("nll_export"), lambda value: f"{value:.4f}", is_short=True)),
        Cell(_interval(found.get("gain_kept"), _percent)),
        Cell(_interval(found.get("net_gain_kept"), _percent)),
        Cell(_interval(found.get("kl"), lambda value: f"{value:.4f}")),
        Cell(f"{parity['same']} of {parity['num_prompts']}" if parity else DASH),
        Cell(str(parity["median_token"]) if parity and "median_token" in parity else DASH),
        Cell(_decimals(found.get("rubric"), 3)),
    ]
    return Row(name_of(line), cells, number == chosen, str(number), gate(line).passed)


def kind_row(kind: str, found: Mapping[str, float]) -> Row:
    """One kind of weight under the chosen format."""
    cells = [
        Cell(f"{found['num_tensors']:.0f}"),
        Cell(_small(found.get("mean_weight"))),
        Cell(_small(found.get("mean_delta"))),
        Cell(_small(found.get("mean_scale"))),
        Cell(_small(found.get("half_step"))),
        Cell(_decimals(found.get("half_step_over_delta"), 1)),
        Cell(_percent(found.get("codes_changed"), 2)),
        Cell(_decimals(found.get("slope"), 3), heat_class(found.get("slope"))),
        Cell(_decimals(found.get("cos"), 3)),
        Cell(_decimals(found.get("snr_db"), 1)),
        Cell(_percent(found.get("base_error"), 2)),
        Cell(_percent(found.get("delta_error"), 2)),
    ]
    return Row(kind, cells)


def heat(line: Line) -> list[Row]:
    """Slope by kind and layer; a dash where nothing was looked at."""
    rows = []
    for kind, by_layer in line["layers"].items():
        slopes = [by_layer.get(layer, {}).get("slope") for layer in _layers(line)]
        rows.append(Row(kind, [Cell(_decimals(one, 2), heat_class(one)) for one in slopes]))
    return rows


def heat_class(slope: float | None) -> str:
    """One of six fixed classes; the text in the cell says the same."""
    if slope is None:
        return ""
    return next((css for end, css in STEPS if slope < end), "s6")


def bucket_row(bucket: Mapping[str, float | None]) -> Row:
    """Blocks of 16 by their largest weight."""
    low, high = bucket["from"] or 0.0, bucket["to"]
    name = f"{low:g} to {high:g}" if high is not None else f"{low:g} and more"
    cells = [
        Cell(_percent(bucket["share"], 2)),
        Cell(_percent(bucket.get("codes_changed"), 2)),
        Cell(_decimals(bucket.get("slope"), 3), heat_class(bucket.get("slope"))),
        Cell(_decimals(bucket.get("cos"), 3)),
        Cell(_decimals(bucket.get("snr_db"), 1)),
    ]
    return Row(name, cells)


def whiskers(lines: Sequence[Line], name: str, text: Callable[[float], str]) -> list[Whisker]:
    """Means with their intervals, on one axis from 0 to the largest end."""
    found = [(name_of(line), line["behaviour"].get(name)) for line in lines]
    known = [(label, one) for label, one in found if one]
    if not known:
        return []
    least: float = min(0.0, *(one["low"] for _, one in known))
    span: float = max(one["high"] for _, one in known) - least or 1.0

    def place(value: float) -> float:
        return float(round(6 + 288 * (value - least) / span, 1))

    return [
        Whisker(
            label, place(one["mean"]), place(one["low"]), place(one["high"]), text(one["mean"])
        )
        for label, one in known
    ]


def _best(report: Mapping[str, Any]) -> int:
    """The format that is recommended, else the first."""
    kind = (report.get("advice") or {}).get("kind")
    kinds = [line["kind"] for line in report["formats"]]
    return kinds.index(kind) if kind in kinds else 0


def _is_sample(report: Mapping[str, Any]) -> bool:
    sample = report.get("sample") or {}
    return bool(sample) and sample["num_measured"] < sample["num_changed"]


def _layers(line: Line) -> list[str]:
    layers = {int(layer) for by_layer in line["layers"].values() for layer in by_layer}
    return [str(layer) for layer in sorted(layers)]


def _parted(line: Line) -> list[Mapping[str, Any]]:
    """The answers that part from the ideal's, the earliest first."""
    parity = (line.get("behaviour") or {}).get("parity") or {}
    parted = [one for one in parity.get("answers", []) if one["token"] is not None]
    return sorted(parted, key=lambda one: one["token"])[:12]


def _percent(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def _decimals(value: float | None, digits: int) -> str:
    return DASH if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _small(value: float | None) -> str:
    return DASH if value is None else f"{value:.2e}"


def _interval(
    found: Mapping[str, float] | None, text: Callable[[float], str], *, is_short: bool = False
) -> str:
    if not found:
        return DASH
    if is_short:
        return text(found["mean"])
    return f"{text(found['mean'])} ({text(found['low'])} to {text(found['high'])})"
