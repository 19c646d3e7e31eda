"""What is still needed: runs that can go on, and models that something kept stands on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.runs.models import HELD, Artifact, Run, RunInput, Status


def settled() -> QuerySet[Run]:
    """Runs that are over for good and that nobody keeps.

    One that failed or was cancelled can be resumed, and one whose pipeline goes on or could be
    resumed is part of that. A pinned artifact keeps its run whole, and so does a review.
    """
    pinned = Artifact.objects.filter(run=OuterRef("pk"), is_pinned=True)
    return (
        Run.objects.filter(status=Status.DONE, ended__isnull=False)
        .filter(Q(pipeline=None) | Q(pipeline__status=Status.DONE))
        .exclude(Exists(pinned))
        .exclude(pk__in=_reviewed())
    )


def kept_models() -> set[int]:
    """Artifacts that must stay: pinned, served or named by an alias, judged by people, and all
    that these were made from."""
    first = Artifact.objects.filter(
        Q(is_pinned=True)
        | Q(deployments__run__status__in=HELD)
        | Q(adapting__run__status__in=HELD)
        | Q(deployments__aliases__isnull=False)
        | Q(adapting__aliases__isnull=False)
        | Q(deployments__canary_of__isnull=False)
        | Q(uses__run__in=_reviewed())
    )
    return _with_ancestors(first.values_list("pk", flat=True))


def _reviewed() -> QuerySet[Run, int]:
    """Runs with an answer that lies in a review's queue."""
    cited = Run.objects.filter(traces__review_items__isnull=False)
    return cited.order_by().values_list("pk", flat=True)


def _with_ancestors(kept: Iterable[int]) -> set[int]:
    """``kept``, and what their runs worked on, and so on to the beginning."""
    maker = dict(Artifact.objects.values_list("pk", "run"))
    inputs = defaultdict[int, list[int]](list)
    for run, artifact in RunInput.objects.values_list("run", "artifact"):
        inputs[run].append(artifact)
    found: set[int] = set()
    left = [*kept]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += inputs[maker[one]]
    return found
