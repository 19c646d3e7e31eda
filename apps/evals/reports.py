"""Reading reports: which there are, and how one is laid out on its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.runs.models import Artifact
from kos.evals.report import MODELS


def visible_to(user: User) -> QuerySet[Artifact]:
    """Reports of evaluations, newest first; reviewers see them as engineers do."""
    reports = Artifact.objects.filter(kind=Artifact.Kind.REPORT).select_related("run__dataset")
    return reports if user.is_engineer or user.is_reviewer else reports.none()


def page_of(artifact: Artifact) -> dict[str, Any]:
    """The report with its slices and items turned into one row each, models across."""
    report = dict(artifact.summary)
    models = [row["model"] for row in report["models"]]
    report["names"] = models
    report["slice_rows"] = _slice_rows(report["slices"], models)
    report["item_rows"] = [
        row | {"rates": [row["met"].get(model) for model in models]} for row in report["items"]
    ]
    return report


def values_of(artifact: Artifact) -> list[float | None]:
    """The headline of each of ``MODELS``; None for one that was not asked."""
    values = {row["model"]: row["value"] for row in artifact.summary["models"]}
    return [values.get(name) for name in MODELS]


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
