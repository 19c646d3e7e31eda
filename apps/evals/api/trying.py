"""A judge asked about one answer, while somebody writes a rubric."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field
from ninja.errors import HttpError

from apps.accounts.auth import require_reader
from apps.automation.rest import Id, In
from apps.datasets import browsing, drafts, editing
from apps.datasets.api.examples import TriedOut, tried_out
from apps.datasets.models import DraftVersion, Example
from apps.datasets.trying import MAX_ANSWER_CHARS
from apps.evals import trying
from apps.evals.api.room import router
from apps.evals.models import Judge
from kos.data.rubrics import RubricTask


class TryJudgeIn(In):
    """A prompt that is kept, or one of a draft, and an answer to it."""

    answer: str = Field(min_length=1, max_length=MAX_ANSWER_CHARS)
    example: Id | None = Field(None, description="Id of a prompt of a dataset version.")
    draft: Id | None = Field(None, description="Id of a draft; `name` says which prompt of it.")
    name: str = Field("", max_length=120)


@router.post("/judges/{int:pk}/try", response=TriedOut, summary="Try a judge on an answer")
def try_judge(request: HttpRequest, pk: int, body: TryJudgeIn) -> dict[str, Any]:
    """Rules decide what they can, the judge the rest; at most 30 items. Nothing is kept."""
    user = require_reader(request)
    known = Judge.objects.exclude(status=Judge.Status.RETIRED)
    judge = get_object_or_404(known, pk=pk)
    return tried_out(trying.ask(judge, _task(body), body.answer, by=user))


def _task(body: TryJudgeIn) -> RubricTask | None:
    if (body.example is None) is (body.draft is None):
        raise HttpError(409, "name an example, or a draft and a prompt of it")
    if body.draft is not None:
        held = drafts.hold(get_object_or_404(DraftVersion, pk=body.draft), body.name)
        return editing.usable(held.task or {})
    example = get_object_or_404(Example.objects.select_related("version"), pk=body.example)
    task = browsing.task_of(example)
    if task is None:
        raise HttpError(409, "this is benchmark text, which is not shown")
    return task
