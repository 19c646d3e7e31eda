"""Judges and how far they agree with people: the labels come from reviews."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.guards import PageRequest, engineer, reader
from apps.evals.models import Judge
from apps.reviews import agreement, exports
from apps.reviews.models import Queue, Review, Verdict
from kos.errors import UserError


@reader
@require_GET
def list(request: PageRequest) -> HttpResponse:
    """Every judge, and every other grader that people's verdicts stand beside."""
    graders = labelled()
    rows = [
        {"judge": judge, "num_labels": num_labels(judge, graders)} for judge in Judge.objects.all()
    ]
    return render(request, "reviews/judges.html", {"rows": rows, "graders": graders})


@reader
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    """One judge against people: kappa, macro F1, balanced accuracy, by category and item."""
    judge = get_object_or_404(Judge, pk=pk)
    found = agreement.of_verdicts(labels_of(judge), seed=judge.pk)
    return render(request, "reviews/judge.html", {"judge": judge, "found": found})


@engineer
@require_POST
def keep_labels(request: PageRequest, pk: int) -> HttpResponse:
    """Keep the verdicts of a queue as a label set, to calibrate judges on."""
    queue = get_object_or_404(Queue, pk=pk)
    try:
        found = exports.keep_labels(queue, by=request.user)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("reviews:agreement", pk)
    messages.success(request, f"{found} stands: a judge can be calibrated on it.")
    return redirect("datasets:labels", found.pk)


def labels_of(judge: Judge) -> QuerySet[Verdict]:
    """People's verdicts on items this judge graded, in any version of it."""
    return _labels().filter(judge__startswith=_name_of(judge))


def labelled() -> Sequence[Mapping[str, Any]]:
    """Every grader (``judge``) and on how many of its items people gave verdicts (``num``)."""
    found: Any = _labels().values("judge").annotate(num=Count("pk")).order_by("-num")
    return [*found]


def num_labels(judge: Judge, graders: Iterable[Mapping[str, Any]]) -> int:
    """How many of people's verdicts there are on items that ``judge`` graded."""
    return sum(row["num"] for row in graders if row["judge"].startswith(_name_of(judge)))


def _name_of(judge: Judge) -> str:
    # What a grade keeps of its grader has 80 characters.
    return f"judge:{judge.model}@"[:80]


def _labels() -> QuerySet[Verdict]:
    found = Verdict.objects.filter(
        review__status=Review.Status.SUBMITTED, review__is_adjudication=False
    )
    return found.select_related("grade", "review__item__trace", "review__reviewer").order_by("pk")
