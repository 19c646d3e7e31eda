"""Nodes and edges of the lineage graph that this room and the datasets bring."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django.db.models import Q
from django.urls import reverse

from apps.datasets.models import DatasetVersion
from apps.runs.artifacts import graph
from apps.runs.artifacts.graph import MOST_EDGES, Edge, Key, Node
from apps.runs.artifacts.provenance import GRADING, key_number, label_of
from apps.runs.models import Artifact, Run, RunInput

# A pipeline's stages are the nodes; a serving run is shown as its deployment.
FOLDED = ("pipeline", "deploy", "remote")
GLYPHS = {"base": "box", "adapter": "layers", "merged": "box", "quantised": "box"}


def register() -> None:
    graph.add("dataset", describe=datasets, after=_after_datasets)
    graph.add("rubric", describe=rubrics, before=_before_rubrics, after=_after_rubrics)
    graph.add("run", describe=runs, before=_before_runs, after=_after_runs)
    graph.add("artifact", describe=artifacts, before=_before_artifacts, after=_after_artifacts)


def datasets(pks: Collection[int]) -> Iterator[Node]:
    for version in DatasetVersion.objects.filter(pk__in=pks).select_related("dataset"):
        yield Node(
            Key("dataset", version.pk),
            "Dataset",
            str(version),
            f"{version.num_examples:,} prompts",
            url=reverse("datasets:detail", args=[version.pk]),
            glyph="database",
        )


def rubrics(pks: Collection[int]) -> Iterator[Node]:
    for version in DatasetVersion.objects.filter(pk__in=pks).select_related("dataset"):
        yield Node(
            Key("rubric", version.pk),
            "Rubrics",
            f"of {version}",
            f"{version.num_items:,} items",
            url=reverse("datasets:detail", args=[version.pk]),
            glyph="check",
        )


def runs(pks: Collection[int]) -> Iterator[Node]:
    found = Run.objects.filter(pk__in=pks).only("name", "kind", "status", "stage", "result")
    for run in found:
        yield Node(
            Key("run", run.pk),
            label_of(run),
            run.name,
            _result(run),
            run.status,
            reverse("runs:detail", args=[run.pk]),
            "activity",
        )


def artifacts(pks: Collection[int]) -> Iterator[Node]:
    for artifact in Artifact.objects.filter(pk__in=pks):
        yield Node(
            Key("artifact", artifact.pk),
            artifact.get_kind_display(),
            artifact.name,
            key_number(artifact),
            url=reverse("runs:model", args=[artifact.pk]),
            glyph=GLYPHS.get(artifact.kind, "file-text"),
            is_gone=artifact.freed is not None,
        )


def _after_datasets(pks: Collection[int]) -> Iterator[Edge]:
    graded = Run.objects.filter(kind__in=GRADING)
    sets = DatasetVersion.objects.filter(pk__in=pks)
    for pk in sets.filter(Q(pk__in=graded.values("dataset"))).values_list("pk", flat=True):
        yield Edge(Key("dataset", pk), Key("rubric", pk), "rubrics")
    read = Run.objects.filter(dataset__in=pks).exclude(kind__in=(*GRADING, *FOLDED))
    for run, version in read.values_list("pk", "dataset").order_by("-pk")[:MOST_EDGES]:
        yield Edge(Key("dataset", version), Key("run", run), "dataset")


def _before_rubrics(pks: Collection[int]) -> Iterator[Edge]:
    return (Edge(Key("dataset", pk), Key("rubric", pk), "rubrics") for pk in pks)


def _after_rubrics(pks: Collection[int]) -> Iterator[Edge]:
    graded = Run.objects.filter(dataset__in=pks, kind__in=GRADING)
    for run, version in graded.values_list("pk", "dataset").order_by("-pk")[:MOST_EDGES]:
        yield Edge(Key("rubric", version), Key("run", run), "dataset")


def _before_runs(pks: Collection[int]) -> Iterator[Edge]:
    given = RunInput.objects.filter(run__in=pks).order_by("pk")
    for run, artifact, name in given.values_list("run", "artifact", "name"):
        yield Edge(Key("artifact", artifact), Key("run", run), name)
    read = Run.objects.filter(pk__in=pks).exclude(dataset=None).order_by("pk")
    for run, version, kind in read.values_list("pk", "dataset", "kind"):
        source = "rubric" if kind in GRADING else "dataset"
        yield Edge(Key(source, version), Key("run", run), "dataset")


def _after_runs(pks: Collection[int]) -> Iterator[Edge]:
    made = Artifact.objects.filter(run__in=pks).order_by("-pk")
    for artifact, run in made.values_list("pk", "run")[:MOST_EDGES]:
        yield Edge(Key("run", run), Key("artifact", artifact))


def _before_artifacts(pks: Collection[int]) -> Iterator[Edge]:
    made = Artifact.objects.filter(pk__in=pks).exclude(run__kind__in=FOLDED)
    for artifact, run in made.values_list("pk", "run"):
        yield Edge(Key("run", run), Key("artifact", artifact))


def _after_artifacts(pks: Collection[int]) -> Iterator[Edge]:
    given = RunInput.objects.filter(artifact__in=pks).exclude(run__kind__in=FOLDED)
    found = given.order_by("-run").values_list("artifact", "run", "name")[:MOST_EDGES]
    for artifact, run, name in found:
        yield Edge(Key("artifact", artifact), Key("run", run), name)


def _result(run: Run) -> str:
    """The closing number that people look for first."""
    for name in ("trained", "exported", "reward", "score", "macro_f1", "loss", "base"):
        value = run.result.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return f"{name.replace('_', ' ')} {value:.3g}"
    return ""
