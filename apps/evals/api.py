"""Evaluation reports over REST."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema

from apps.accounts.auth import BearerAuth, require_reader
from apps.evals import reports

router = Router(tags=["evals"], auth=BearerAuth())
MAX_ROWS = 200


class ReportOut(Schema):
    id: int
    run_id: int
    name: str
    digest: str
    report: dict[str, Any]


@router.get("/", response=list[ReportOut])
def list_reports(request: HttpRequest, limit: int = 50) -> list[ReportOut]:
    found = reports.visible_to(require_reader(request))[: max(1, min(limit, MAX_ROWS))]
    return [_out(artifact) for artifact in found]


@router.get("/{int:pk}", response=ReportOut)
def get_report(request: HttpRequest, pk: int) -> ReportOut:
    return _out(get_object_or_404(reports.visible_to(require_reader(request)), pk=pk))


def _out(artifact: Any) -> ReportOut:
    return ReportOut(
        id=artifact.pk,
        run_id=artifact.run_id,
        name=artifact.name,
        digest=artifact.digest,
        report=artifact.summary,
    )
