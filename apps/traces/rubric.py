"""Forward from one rubric item: how often it was met over training, and the answers it graded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, reader
from apps.accounts.numerals import number
from apps.datasets.models import Example
from apps.runs.artifacts import graph
from apps.runs.artifacts.graph import Key, Node
from apps.runs.models import Run
from apps.traces import paging
from apps.traces.forms import AnswerFilter
from apps.traces.models import Grade, Trace
from apps.traces.shares import Curve, curve

# So many of the newest answers are counted: an item of a long training has millions.
COUNTED = 5000
MOST_RUNS = 12
MET = {"yes": True, "no": False, "open": None}


class Subject(NamedTuple):
    """What is asked about: an item by its key, and the prompt or the prompt's id."""

    example: Example | None
    name: str
    key: str


class Item(NamedTuple):
    """The item that the page is about; without an example, all prompts that have its key."""

    key: str
    text: str
    points: float
    example: Example | None
    name: str


class Met(NamedTuple):
    """How often the item was met by a model, of those answers that were graded."""

    run_id: int | None
    run: str
    model: str
    num: int
    num_met: int


class Training(NamedTuple):
    """A run over its steps."""

    run_id: int
    run: str
    steps: Sequence[tuple[int, int, int]]  # step, graded, met
    curve: Curve


class Agreement(NamedTuple):
    """What reviewers said beside the grader."""

    num: int
    num_agreed: int
    num_unsure: int


SUBMITTED = Q(verdicts__review__status="submitted")


@reader
@require_GET
def rubric(request: PageRequest) -> HttpResponse:
    """All that one rubric item graded; without one, the items of the example to choose from."""
    asked = subject(request.GET.get("example", "").strip(), request.GET.get("item", "").strip())
    context: dict[str, Any] = asked._asdict()
    if not asked.key:
        return render(request, "traces/rubric.html", context | {"items": _items(asked.example)})
    form = AnswerFilter(request.GET)
    found = narrowed(grades_of(asked), form)
    context |= summed(asked) | {
        "form": form,
        "page": paging.page(_rows(found), request.GET.get("cursor", "")),
    }
    return render(request, "traces/rubric.html", context)


def subject(example: str, key: str) -> Subject:
    """The item ``key`` of a prompt, which is named by its number or its id."""
    found = _example(example)
    return Subject(found, found.external_id if found else example[:120], key[:80])


def summed(asked: Subject) -> dict[str, Any]:
    """How often the item was met, by whom and when, and what it shaped."""
    grades = grades_of(asked)
    counted = _newest(grades)
    tally = _tally(counted)
    trainings = _trainings(tally)
    num = sum(row["num_all"] for row in tally)
    return {
        "item": _item(asked, grades),
        "trainings": trainings,
        "evaluations": _by_model(tally, Trace.Origin.EVALUATION),
        "chats": _by_model(tally, Trace.Origin.CHAT) + _by_model(tally, Trace.Origin.API),
        "agreement": _agreement(counted),
        "shaped": _shaped(trainings),
        "num": num,
        "is_cut": num >= COUNTED,
    }


def _example(wanted: str) -> Example | None:
    """By the number of its row, else the newest prompt with this id."""
    found = Example.objects.select_related("version__dataset")
    if (pk := number(wanted)) is not None:
        by_number = found.filter(pk=pk).first()
        if by_number is not None:
            return by_number
    return found.filter(external_id=wanted).order_by("-pk").first() if wanted else None


def grades_of(asked: Subject) -> QuerySet[Grade]:
    """The grades of the item: of one prompt, or of every prompt with such a key."""
    example, name, key = asked
    if not name:
        return Grade.objects.filter(key=key)
    traces = Trace.objects.filter(example_id=name)
    if example is not None:
        # Another set may call another prompt the same.
        runs = Run.objects.filter(dataset__dataset=example.version.dataset_id)
        traces = traces.filter(Q(run__in=runs) | Q(run__dataset=None))
    return Grade.objects.filter(key=key, trace__in=traces.order_by("-pk").values("pk")[:COUNTED])


def narrowed(grades: QuerySet[Grade], form: AnswerFilter) -> QuerySet[Grade]:
    """The answers that the form asks for."""
    form.is_valid()
    wanted = form.cleaned_data
    for name, lookup in (("origin", "trace__origin"), ("model", "trace__model")):
        if wanted.get(name):
            grades = grades.filter(**{lookup: wanted[name]})
    if wanted.get("run"):
        grades = grades.filter(trace__run=wanted["run"])
    if wanted.get("met"):
        grades = grades.filter(met=MET[wanted["met"]])
    if wanted.get("reviewed"):
        grades = grades.filter(SUBMITTED).distinct()
    return grades


def _newest(grades: QuerySet[Grade]) -> QuerySet[Grade]:
    """As many as are counted; by the least of their numbers, which an index finds at once."""
    least = grades.order_by("-pk").values_list("pk", flat=True)[COUNTED - 1 : COUNTED]
    cut = next(iter(least), None)
    return grades if cut is None else grades.filter(pk__gte=cut)


def _tally(grades: QuerySet[Grade]) -> list[dict[str, Any]]:
    """How often it was met, by everything the page tells apart."""
    by = ("trace__origin", "trace__run", "trace__run__name", "trace__model", "trace__step")
    counted = (
        grades.order_by()
        .values(*by)
        .annotate(num_all=Count("pk"), num=Count("met"), num_met=Count("pk", filter=Q(met=True)))
    )
    return [*counted]


def _trainings(tally: Sequence[dict[str, Any]]) -> list[Training]:
    """The newest runs that trained on it, each step by step."""
    steps: dict[tuple[int, str], dict[int, tuple[int, int]]] = {}
    for row in tally:
        if (
            row["trace__origin"] == Trace.Origin.ROLLOUT
            and row["trace__run"] is not None
            and row["num"]
        ):
            run = steps.setdefault((row["trace__run"], row["trace__run__name"]), {})
            num, met = run.get(row["trace__step"], (0, 0))
            run[row["trace__step"]] = num + row["num"], met + row["num_met"]
    return [
        _training(pk, name, run)
        for (pk, name), run in sorted(steps.items(), reverse=True)[:MOST_RUNS]
    ]


def _training(run_id: int, name: str, counts: dict[int, tuple[int, int]]) -> Training:
    rows = [(step, *counts[step]) for step in sorted(counts)]
    return Training(run_id, name, rows, curve(rows))


def _by_model(tally: Sequence[dict[str, Any]], origin: str) -> list[Met]:
    found: dict[tuple[int | None, str, str], tuple[int, int]] = {}
    for row in tally:
        if row["trace__origin"] == origin:
            place = row["trace__run"], row["trace__run__name"] or "", row["trace__model"]
            num, met = found.get(place, (0, 0))
            found[place] = num + row["num"], met + row["num_met"]
    rows = [Met(*place, *counts) for place, counts in found.items()]
    return sorted(rows, key=lambda row: (-(row.run_id or 0), row.model))


def _agreement(grades: QuerySet[Grade]) -> Agreement | None:
    """Submitted verdicts of people against the grader's."""
    rows = grades.filter(SUBMITTED).order_by().values_list("met", "verdicts__met")
    counts = {(met, said): num for met, said, num in rows.annotate(num=Count("verdicts"))}
    if not counts:
        return None
    agreed = counts.get((True, "met"), 0) + counts.get((False, "not_met"), 0)
    unsure = sum(num for (_, said), num in counts.items() if said == "unsure")
    return Agreement(sum(counts.values()), agreed, unsure)


def _shaped(trainings: Sequence[Training]) -> list[Node]:
    """The deployments that answer with what these trainings made: it shaped what they say."""
    starts = [Key("run", training.run_id) for training in trainings]
    met = graph.walk(starts, "after", most=500) if starts else []
    ends = [edge.end for edge in met if edge.end.kind == "deployment"]
    return sorted(graph.describe(ends).values(), key=lambda node: -node.key.pk)


def _rows(grades: QuerySet[Grade]) -> QuerySet[Grade]:
    """With the answer and the reviewers of each."""
    traces = Trace.objects.rows()
    rows = grades.prefetch_related(
        Prefetch("trace", queryset=traces), "verdicts__review__reviewer"
    )
    return rows.defer("raw", "text")


def _item(asked: Subject, grades: QuerySet[Grade]) -> Item:
    """Its text: as the dataset has it now, else as it was last graded. Restricted text stays out."""
    example, name, key = asked
    for item in _items(example):
        if item["key"] == key:
            return Item(key, item["text"], item["points"], example, name)
    last = grades.order_by("-pk").first()
    return Item(key, last.text if last else "", last.points if last else 0, example, name)


def _items(example: Example | None) -> list[dict[str, Any]]:
    if example is None or example.version.is_restricted or example.task.get("restricted"):
        return []
    return [*example.task.get("rubric", ())]
