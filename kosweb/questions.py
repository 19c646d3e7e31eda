"""What pages must be asked for before they show something: the query of an address, by URL name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.datasets.models import DraftVersion, Example
from apps.evals.models import Judge
from apps.runs.models import Artifact, Run
from apps.traces.models import Trace

Query = dict[str, str]
Question = Callable[[User], Query]


def query_of(name: str, user: User) -> str:
    """The query with its question mark; "" for a page that needs none, or has nothing to show."""
    found = QUESTIONS[name](user) if name in QUESTIONS else {}
    return f"?{urlencode(found)}" if found else ""


def evaluations() -> QuerySet[Run]:
    """Evaluations whose answers are there, newest first."""
    return Run.objects.filter(kind="evaluate", traces__isnull=False).order_by("-pk").distinct()


def _runs(user: User) -> Query:
    found = Run.objects.visible_to(user).filter(kind="train").values_list("pk", flat=True)[:3]
    return {"ids": ",".join(map(str, found))} if len(found) > 1 else {}


def _artifact(user: User) -> Query:
    found = Artifact.objects.filter(kind__in=["quantised", "merged", "base"]).order_by("-pk")
    return _one("artifact", found.values_list("pk", flat=True).first())


def _sides(user: User) -> Query:
    """Two models of one evaluation, or one of each of two."""
    runs = [*evaluations()[:2]]
    pairs = Trace.objects.filter(run__in=runs).order_by("run_id", "model")
    found = [*pairs.values_list("run_id", "model").distinct()[:2]]
    return _two([f"{run}:{model}" for run, model in found])


def _variants(user: User) -> Query:
    return _one("runs", ",".join(str(run.pk) for run in evaluations()[:4]))


def _model(user: User) -> Query:
    found = Trace.objects.filter(run=evaluations().first()).order_by("model")
    return _one("model", found.values_list("model", flat=True).first())


def _judges(user: User) -> Query:
    return _two([*Judge.objects.values_list("pk", flat=True)[:2]])


def _traces(user: User) -> Query:
    visible = Trace.objects.visible_to(user).filter(is_restricted=False)
    return _two([*visible.order_by("-pk").values_list("pk", flat=True)[:2]])


def _draft_example(user: User) -> Query:
    draft = DraftVersion.objects.order_by("-pk").first()
    base = draft.base if draft is not None else None
    found = Example.objects.filter(version=base) if base is not None else Example.objects.none()
    return _one("id", found.values_list("external_id", flat=True).first())


def _rubric(user: User) -> Query:
    found = Example.objects.filter(version__is_restricted=False).order_by("-pk")
    return _one("example", found.values_list("pk", flat=True).first())


def _two(values: Sequence[object]) -> Query:
    """What a page sets side by side; nothing where there is no second."""
    first, second = values if len(values) == 2 else ("", "")
    return {"a": str(first), "b": str(second)} if first else {}


def _one(name: str, value: object) -> Query:
    return {name: str(value)} if value else {}


QUESTIONS: dict[str, Question] = {
    "runs:compare": _runs,
    "runs:lineage": _artifact,
    "evals:compare": _sides,
    "evals:changes": _sides,
    "evals:variants": _variants,
    "evals:regressions": _model,
    "evals:compare_judges": _judges,
    "traces:compare": _traces,
    "traces:rubric": _rubric,
    "datasets:write": _draft_example,
    "search": lambda user: {"q": "gout"},
}
