"""What traces add to the lineage graph: the answers that a deployment or an evaluation gave."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django.db.models import Exists, OuterRef
from django.urls import reverse

from apps.runs.artifacts import graph
from apps.runs.artifacts.graph import Edge, Key, Node
from apps.runs.models import Run
from apps.traces.models import Trace

# Answers are counted up to here: a deployment may have given millions.
COUNTED = 10_000
ANSWERED = Exists(Trace.objects.filter(run=OuterRef("pk")))


def register() -> None:
    graph.add("answers", describe=answers, before=_before_answers)
    graph.add("deployment", after=_after_deployments)
    graph.add("run", after=_after_runs)


def answers(pks: Collection[int]) -> Iterator[Node]:
    """One node for all answers of a run; ``pk`` is the run's."""
    for pk, name in Run.objects.filter(pk__in=pks).values_list("pk", "name"):
        num = Trace.objects.filter(run=pk).order_by()[: COUNTED + 1].count()
        yield Node(
            Key("answers", pk),
            "Answers",
            f"of {name}",
            f"{COUNTED:,}+" if num > COUNTED else f"{num:,}",
            url=f"{reverse('traces:list')}?run={pk}",
            glyph="message-square",
        )


def _before_answers(pks: Collection[int]) -> Iterator[Edge]:
    served = dict(
        Run.objects.filter(pk__in=pks, deployment__isnull=False).values_list("pk", "deployment")
    )
    for run in Run.objects.filter(pk__in=pks).values_list("pk", flat=True):
        start = Key("deployment", served[run]) if run in served else Key("run", run)
        yield Edge(start, Key("answers", run))


def _after_deployments(pks: Collection[int]) -> Iterator[Edge]:
    served = Run.objects.filter(ANSWERED, deployment__in=pks)
    for run, deployment in served.values_list("pk", "deployment"):
        yield Edge(Key("deployment", deployment), Key("answers", run))


def _after_runs(pks: Collection[int]) -> Iterator[Edge]:
    """Evaluations; the rollouts of a training lie on its own page."""
    asked = Run.objects.filter(ANSWERED, pk__in=pks, kind="evaluate")
    return (Edge(Key("run", pk), Key("answers", pk)) for pk in asked.values_list("pk", flat=True))
