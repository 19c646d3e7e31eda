"""Which evaluations there are, and their numbers for pages and API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Prefetch, QuerySet

from apps.accounts.models import User
from apps.evals import answers, computing, overview
from apps.evals.models import Computed
from apps.evals.overview import Choice
from apps.runs.models import Artifact, Run
from apps.traces.models import Trace
from kos.evals.compare import compare_runs
from kos.evals.html import to_html
from kos.evals.report import SCREENING
from kos.evals.summary import summarise
from kos.evals.tables import example_rows

HEADLINES = "headlines"


def visible_to(user: User) -> QuerySet[Artifact]:
    """Reports that jobs left, newest first; reviewers see them as engineers do."""
    # A calibration's report is its judge's page; a survival report is a tab of its run.
    reports = Artifact.objects.filter(kind=Artifact.Kind.REPORT)
    reports = reports.exclude(run__kind__in=("calibrate", "survival"))
    reports = reports.select_related("run__dataset")
    return reports if user.is_engineer or user.is_reviewer else reports.none()


def runs_for(user: User) -> QuerySet[Run]:
    """Evaluations, newest first, running ones among them."""
    runs = Run.objects.filter(kind="evaluate").select_related("dataset__dataset", "owner")
    return runs.order_by("-pk") if user.is_engineer or user.is_reviewer else runs.none()


def listed(runs: QuerySet[Run]) -> QuerySet[Run]:
    """The runs with what ``values_of`` reads."""
    reports = Artifact.objects.filter(kind=Artifact.Kind.REPORT)
    headlines = Computed.objects.filter(key=HEADLINES)
    return runs.prefetch_related(
        Prefetch("artifacts", queryset=reports, to_attr="reports"),
        Prefetch("computed", queryset=headlines, to_attr="headlines"),
    )


def values_of(run: Any) -> list[tuple[str, float | None]]:
    """Each model's headline as last computed, else as the job's report has it."""
    if run.headlines:
        return [tuple(pair) for pair in run.headlines[0].data["values"]]
    found = run.reports[0].summary.get("models", []) if run.reports else []
    return [(row["model"], row.get("value")) for row in found]


def choose(run: Run, wanted: Mapping[str, str]) -> Choice | None:
    """What a page is asked to show; the last model beside the first one by default.

    None while nobody has answered yet.
    """
    models = answers.models_of(run)
    if not models:
        return None
    model = wanted.get("model", "")
    chosen = model if model in models else models[-1]
    others = [name for name in models if name != chosen]
    baseline = wanted.get("baseline", "")
    if baseline not in others:
        baseline = others[0] if others and baseline != "none" else ""
    return Choice(answers.mode_of(run, wanted.get("mode", "")), chosen, baseline)


class Page(NamedTuple):
    """The numbers of a run's page, one row a prompt, and when both were made."""

    numbers: dict[str, Any]
    examples: list[dict[str, Any]]
    at: datetime


def numbers_of(run: Run, choice: Choice) -> Page:
    """What the run's page shows, computed at most once for the same grades."""
    found = computing.of_run(run, f"page:{choice.key}", lambda: overview.build(run, choice))
    page = Page(found.data["numbers"], found.data["examples"], found.at)
    if choice.mode.label == answers.mode_of(run).label:
        _keep_headlines(run, page, found.basis)
    return page


def _keep_headlines(run: Run, page: Page, basis: str) -> None:
    """What the list shows of the run, once for the same grades."""
    kept = Computed.objects.filter(run=run, key=HEADLINES, basis=basis)
    if not kept.exists():
        values = [[row["model"], row["score"]["value"]] for row in page.numbers["models"]]
        Computed.objects.update_or_create(
            run=run,
            key=HEADLINES,
            defaults={"basis": basis, "data": {"values": values}, "seconds": 0},
        )


def html_of(run: Run, choice: Choice) -> str:
    """The run as one HTML file; of benchmarks it holds numbers alone."""

    def make() -> dict[str, Any]:
        group = answers.of_run(run, model=choice.model)
        before = answers.of_run(run, model=choice.baseline) if choice.baseline else []
        summary = summarise(group, choice.mode, baseline=before)
        is_screened = summary.headline.score.counts.screened > 0
        made = to_html(
            summary,
            title=f"{run.name}: {choice.model}",
            facts=facts_of(run, choice),
            examples=example_rows(group, choice.mode),
            compared=compare_runs(group, before, choice.mode, seed=run.seed) if before else None,
            stamp=SCREENING if is_screened else "",
        )
        return {"html": made}

    return str(computing.of_run(run, f"html:{choice.key}", make).data["html"])


def facts_of(run: Run, choice: Choice) -> dict[str, str]:
    """What stands behind the numbers, in words."""
    config = json.dumps(run.config, sort_keys=True).encode()
    return {
        "Dataset": f"{run.dataset} ({run.dataset.digest[:12]})" if run.dataset else "none",
        "Model": choice.model,
        **({"Compared with": choice.baseline} if choice.baseline else {}),
        "Run": f"{run.name} (number {run.pk}), seed {run.seed}",
        "Code": run.code_revision or "unknown",
        "Configuration": hashlib.sha256(config).hexdigest()[:12],
        "Overridden verdicts": str(len(answers.overrides_of(run))),
    }


def has_answers(run: Run) -> bool:
    """Whether the run's answers are still there: an old report may outlive them."""
    return Trace.objects.filter(run=run).exists()


def page_of(artifact: Artifact) -> dict[str, Any]:
    """A job's own report with its slices and items turned into one row each, models across."""
    report = dict(artifact.summary)
    models = [row["model"] for row in report["models"]]
    report["names"] = models
    report["slice_rows"] = _slice_rows(report.get("slices", []), models)
    report["item_rows"] = [
        row | {"rates": [row["met"].get(model) for model in models]}
        for row in report.get("items", [])
    ]
    return report


def _slice_rows(slices: list[Mapping[str, Any]], models: list[str]) -> list[dict[str, Any]]:
    cells = {(row["slice"], row["model"]): row for row in slices}
    return [
        {
            "name": name,
            "num_prompts": cells[name, models[0]]["num_prompts"],
            "cells": [cells.get((name, model)) for model in models],
        }
        for name in dict.fromkeys(row["slice"] for row in slices)
    ]
