"""A judge on an answer that somebody tries while writing a rubric."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods

from apps.accounts.guards import PageRequest, reader
from apps.accounts.models import User
from apps.accounts.numerals import number
from apps.datasets import drafts, editing, trying
from apps.datasets.models import DraftVersion
from apps.evals.models import Judge
from apps.tools.services import keys_of
from kos.data.rubrics import RubricTask
from kos.errors import UserError
from kos.events import ItemGrade
from kos.grading.base import Submission
from kos.grading.cache import open_cache
from kos.grading.judge import CACHE
from kos.grading.judge import Judge as JudgeGrader
from kos.serving.client import connect

LIMIT_SECONDS = 30
MAX_ITEMS = 30


@reader
@require_http_methods(["GET", "POST"])
def try_judge(request: PageRequest) -> HttpResponse:
    """Which judges there are; a POST of the rubric editor's form asks one about the answer."""
    judges = Judge.objects.exclude(status=Judge.Status.RETIRED)
    chosen = judges.filter(pk=number(request.POST.get("judge", "")) or 0).first()
    context: dict[str, Any] = {"judges": judges.order_by("-status", "name"), "chosen": chosen}
    if request.method == "POST":
        try:
            asked = chosen or judges.order_by("-status").first()
            if asked is None:
                raise UserError("no judge is saved; add one under Evaluations, Judges")  # noqa: TRY301
            task = editing.usable(editing.task_from(request.POST.dict(), _begun_with(request)))
            context["tried"] = ask(asked, task, request.POST.get("answer", ""), by=request.user)
        except UserError as error:
            context["problem"] = str(error)
    template = "evals/_try_judge.html" if request.htmx else "evals/try_judge.html"
    return render(request, template, context)


def ask(judge: Judge, task: RubricTask | None, answer: str, *, by: User) -> trying.Tried:
    """The answer on the whole rubric, with the judge's verdicts where no rule decides.

    Raises UserError without an answer, without an item for the judge, or for too many.
    """
    answer = answer.strip()
    if not answer:
        raise UserError("paste an answer first")
    asked = [item for item in task.rubric if item.is_judged] if task is not None else []
    if task is None or not asked:
        raise UserError("no item is left to a judge: each has a check, or is not ready")
    if len(asked) > MAX_ITEMS:
        raise UserError(f"{len(asked)} items are left to a judge; {MAX_ITEMS} is the most here")
    return trying.try_answer(task, answer, grades=grade(judge, task, answer, by=by))


def _begun_with(request: PageRequest) -> dict[str, Any]:
    """The example as its draft has it: what the form has no field for."""
    draft = get_object_or_404(DraftVersion, pk=number(request.POST.get("draft", "")))
    return drafts.hold(draft, request.POST.get("example", "")).task or {}


def grade(judge: Judge, task: RubricTask, answer: str, *, by: User) -> tuple[ItemGrade, ...]:
    """The judge's verdicts on its items, now; what it could not decide has none."""
    knobs = {"timeout_seconds": LIMIT_SECONDS, "tries": 1}
    grader = judge.grader.model_copy(update=knobs)
    secret = keys_of(by).get(grader.key, "") if grader.key else ""
    if grader.key and not secret:
        raise UserError(f"there is no key called {grader.key!r}; add it under Keys")
    return async_to_sync(_grade)(grader, secret, task, answer)


async def _grade(
    grader: JudgeGrader, secret: str, task: RubricTask, answer: str
) -> tuple[ItemGrade, ...]:
    messages = [(turn.role, turn.content) for turn in task.messages]
    # Nothing is kept of a try: the rubric changes with every word.
    with TemporaryDirectory() as folder, open_cache(Path(folder) / CACHE) as cache:
        async with connect(grader.url, key=secret, silence_seconds=LIMIT_SECONDS) as http:
            at_work = grader.at_work(http, cache, 0)
            return await at_work.grade(Submission(task, messages, answer))
