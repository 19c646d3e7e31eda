"""Regressions of an evaluation's answers, and two models' side by side: sections of their own.

They read every turn and call of a run, so they are computed apart from the scores, once for the
same answers.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET
from pydantic import TypeAdapter

from apps.accounts.guards import PageRequest, reader
from apps.evals import answers, comparing, computing, reports
from apps.evals.comparing import Side
from apps.runs.models import Run
from apps.traces.models import Trace
from kos.evals import drift
from kos.evals.proportions import answers_needed
from kos.evals.regressions import Said
from kos.messages import ToolRecord, TurnRecord

TURNS: TypeAdapter[tuple[TurnRecord, ...]] = TypeAdapter(tuple[TurnRecord, ...])
TOOLS: TypeAdapter[tuple[ToolRecord, ...]] = TypeAdapter(tuple[ToolRecord, ...])
FIELDS = ("example_id", "sample", "messages", "answer", "stop_reason", "flags", "turns", "tools")
# What the article saw with tools and without; to find that takes so many answers a side.
SEEN = (0.03, 0.002)


@reader
@require_GET
def show(request: PageRequest, pk: int) -> HttpResponse:
    """One model's regressions; htmx takes the section alone."""
    run = get_object_or_404(reports.runs_for(request.user), pk=pk)
    model = request.GET.get("model", "")
    if model not in answers.models_of(run):
        raise Http404
    found = measured(run, model)
    context = {
        "run": run,
        "model": model,
        "found": found,
        "bands": [_bands(found, sort) for sort in ("turns", "context")],
        "looks": [(label, found["style"][name]) for name, label in drift.STYLE]
        if found["style"]
        else [],
        "is_restricted": bool(run.dataset and run.dataset.is_restricted),
    }
    template = "evals/_regressions.html" if request.htmx else "evals/regressions.html"
    return render(request, template, context)


@reader
@require_GET
def show_changes(request: PageRequest) -> HttpResponse:
    """What differs between two models; htmx takes the section alone."""
    baseline, candidate = (
        comparing.side_of(request.user, request.GET.get(name, "")) for name in ("a", "b")
    )
    context = {
        "baseline": baseline,
        "candidate": candidate,
        "found": compared(candidate, baseline),
        "num_needed": answers_needed(*SEEN),
    }
    template = "evals/_changes.html" if request.htmx else "evals/changes.html"
    return render(request, template, context)


def measured(run: Run, model: str) -> dict[str, Any]:
    """The rates, bands and style of one model (``kos.evals.drift.measured``)."""
    found = computing.of_run(
        run, f"regressions:{model}", lambda: drift.measured([*said_in(run, model).values()])
    )
    return dict(found.data)


def compared(candidate: Side, baseline: Side) -> dict[str, Any]:
    """The changes from one side to the other (``kos.evals.drift.compared``)."""
    basis = f"{answers.basis_of(candidate.run)}|{answers.basis_of(baseline.run)}"
    found = computing.of_run(
        candidate.run,
        f"regressions:{candidate.model}:{baseline}",
        lambda: drift.compared(
            said_in(baseline.run, baseline.model), said_in(candidate.run, candidate.model)
        ),
        basis,
    )
    return dict(found.data)


def said_in(run: Run, model: str) -> dict[tuple[str, int], Said]:
    """A model's answers as the detectors read them, by prompt and sample; no failed ones."""
    rows = Trace.objects.filter(run=run, model=model, error="").order_by("example_id", "sample")
    found = rows.values(*FIELDS).iterator(chunk_size=200)
    return {(row["example_id"], row["sample"]): _said(row) for row in found}


def _bands(found: dict[str, Any], sort: str) -> dict[str, Any]:
    """Rates down, bands of ``sort`` across; bands without an answer are left out."""
    labels = {rate["name"]: rate["label"] for rate in found["rates"]}
    rows = {name: bands[sort] for name, bands in found["bands"].items()}
    first = next(iter(rows.values()))
    shown = [place for place, band in enumerate(first) if band["n"]]
    return {
        "sort": sort,
        "heads": [_head(first[place], sort) for place in shown],
        "rows": [
            (labels[name], [bands[place] | _rate(bands[place]) for place in shown])
            for name, bands in rows.items()
        ],
    }


def _head(band: dict[str, Any], sort: str) -> str:
    start, end = band["from"], band["to"]
    if sort == "turns":
        return f"{start}" if end == start + 1 else f"{start} to {end - 1}" if end else f"{start}+"
    return f"{start // 1000}k to {end // 1000}k" if end else f"{start // 1000}k+"


def _rate(band: dict[str, Any]) -> dict[str, float]:
    return {"value": band["hits"] / band["n"]}


def _said(row: dict[str, Any]) -> Said:
    turns, tools = TURNS.validate_python(row["turns"]), TOOLS.validate_python(row["tools"])
    texts = [message.get("content") or "" for message in row["messages"]]
    asked = [m.get("content") or "" for m in row["messages"] if m.get("role") == "user"]
    return Said(
        question=asked[-1] if asked else "",
        given="\n".join([*texts, *(record.observation for record in tools)]),
        answer=row["answer"],
        stop_reason=row["stop_reason"],
        flags=frozenset(row["flags"]),
        turns=turns,
        tools=tools,
    )
