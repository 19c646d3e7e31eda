"""What deployments add to the pages of models: nodes of the graph, a panel, what needs files."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django.db.models import Q
from django.urls import reverse

from apps.deployments.models import Deployment, DeploymentQuerySet
from apps.runs.artifacts import disposal, graph, panels
from apps.runs.artifacts.graph import MOST_EDGES, Edge, Key, Node
from apps.runs.models import Artifact


def register() -> None:
    graph.add("deployment", describe=deployments, before=_before_deployments)
    graph.add("artifact", after=_after_artifacts)
    panels.add("deployments", panel)
    disposal.add(needs)


def deployments(pks: Collection[int]) -> Iterator[Node]:
    found = Deployment.objects.filter(pk__in=pks).select_related("run", "artifact")
    for deployment in found.prefetch_related("aliases"):
        led = ", ".join(alias.name for alias in deployment.aliases.all())
        yield Node(
            Key("deployment", deployment.pk),
            "Deployment",
            f"{deployment.name} #{deployment.pk}",
            f"alias {led}" if led else deployment.get_engine_display(),
            deployment.state,
            reverse("deployments:detail", args=[deployment.pk]),
            "rocket",
        )


def panel(artifact: Artifact) -> panels.Panel | None:
    """Where it answers or answered, newest first."""
    served = _of([artifact.pk]).select_related("run").prefetch_related("aliases")
    rows = [*served.order_by("-pk")[:50]]
    return (
        panels.Panel("Deployments", "deployments/_of_model.html", {"rows": rows}) if rows else None
    )


def needs(artifact: Artifact) -> Iterator[disposal.Need]:
    """A deployment that answers cannot lose its files; one that is over cannot start again."""
    for deployment in _of([artifact.pk]).select_related("run").order_by("-pk")[:50]:
        name = f"{deployment.name} #{deployment.pk}"
        url = reverse("deployments:detail", args=[deployment.pk])
        if deployment.is_alive:
            yield disposal.Need(f"deployment {name} answers with it; stop it first", url, True)
        else:
            yield disposal.Need(f"deployment {name} could not be started again", url)


def _of(pks: Collection[int]) -> DeploymentQuerySet:
    return Deployment.objects.filter(Q(artifact__in=pks) | Q(adapter__in=pks))


def _before_deployments(pks: Collection[int]) -> Iterator[Edge]:
    found = Deployment.objects.filter(pk__in=pks).values_list("pk", "artifact", "adapter")
    for pk, model, adapter in found:
        yield from _edges(pk, {"model": model, "adapter": adapter})


def _after_artifacts(pks: Collection[int]) -> Iterator[Edge]:
    found = _of(pks).order_by("-pk").values_list("pk", "artifact", "adapter")[:MOST_EDGES]
    for pk, model, adapter in found:
        used = {"model": model, "adapter": adapter}
        yield from _edges(pk, {name: one for name, one in used.items() if one in pks})


def _edges(pk: int, used: dict[str, int | None]) -> Iterator[Edge]:
    for name, artifact in used.items():
        if artifact is not None:
            yield Edge(Key("artifact", artifact), Key("deployment", pk), name)
