"""The calls of evaluations, and how one finds the run it means."""

from __future__ import annotations

from typing import Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Schema

from apps.accounts.auth import require_reader
from apps.accounts.models import Scope
from apps.automation.rest import Room
from apps.evals import reports
from apps.evals.overview import Choice
from apps.runs.models import Run

router = Room("evals", reading=Scope.EVALS_READ, writing=Scope.EVALS_WRITE)
ModeName = Literal["healthbench", "healthbench_len", "unit", "raw"]


class Chosen(Schema):
    """What is asked for. The last model beside the first is the default."""

    model: str = Field("", max_length=40)
    baseline: str = Field("", max_length=40)
    mode: ModeName | None = Field(None, description="How scores are counted.")


class LabelsRef(Schema):
    id: int
    name: str


def find(request: HttpRequest, pk: int) -> Run:
    """One evaluation, or 404."""
    return get_object_or_404(reports.runs_for(require_reader(request)), pk=pk)


def choose(run: Run, wanted: Chosen) -> Choice | None:
    """What of the run is asked for; None while nobody has answered."""
    given = {"model": wanted.model, "baseline": wanted.baseline, "mode": wanted.mode or ""}
    return reports.choose(run, given)
