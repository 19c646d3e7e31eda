"""Where an answer comes from: its deployment, the models behind it, the runs, rubrics and data.

The chain is read from what the trace's run served or asked, back along the inputs of runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from apps.datasets.models import DatasetVersion, Example
from apps.runs.artifacts import graph, provenance
from apps.runs.artifacts.graph import Edge, Key
from apps.runs.artifacts.provenance import GRADING, Fact
from apps.runs.models import Artifact, Run
from apps.traces.models import Trace

# What a trace keeps of how it was asked, in words.
VERSIONS = {
    "dialect": "Prompt template",
    "tools": "Tools",
    "tools_digest": "Tool declarations",
    "tools_as": "Declared as",
    "system_prompt": "System prompt",
    "mode": "Mode",
    "context": "Context",
    "thinking": "Thinking",
    "harness": "Harness",
    "engine": "Engine",
    "code": "Code revision",
}
# Named by a step of its own.
TOLD = ("deployment", "artifact", "adapter")
# Jobs that change what a model says, and so what their data taught it.
LEARNING = ("train", "sft", "dpo", "critic")
DIGESTS = ("tools_digest", "system_prompt", "code")


class Step(NamedTuple):
    """One thing on the way back; ``needs`` says who may open its page."""

    glyph: str
    label: str
    name: str
    url: str
    facts: Sequence[Fact]
    status: str = ""
    is_for_engineers: bool = True


def steps(trace: Trace) -> list[Step]:
    """The way back from an answer, the nearest first."""
    found = [*_served(trace)]
    models = _models(trace)
    run = trace.run
    if run is not None and trace.origin in (Trace.Origin.ROLLOUT, Trace.Origin.EVALUATION):
        found.append(_run(run, [Fact("Asked as", trace.model), *_place(trace)]))
        found += _data(run, trace)
    return [*found, *_behind(models, seen={run.pk} if run is not None else set())]


def versions(trace: Trace) -> list[Fact]:
    """How it was asked: template, tools and prompt as the trace keeps them."""
    kept: Mapping[str, Any] = trace.versions
    named = [(VERSIONS[name], kept[name], name) for name in VERSIONS if kept.get(name)]
    named += [
        (name.replace("_", " ").capitalize(), kept[name], name)
        for name in sorted(kept)
        if name not in VERSIONS and name not in TOLD and kept[name]
    ]
    return [Fact(label, str(value), is_code=name in DIGESTS) for label, value, name in named]


def graph_url(trace: Trace) -> str:
    """The same as a graph."""
    if trace.run is None:
        return ""
    return f"{reverse('runs:lineage')}?answers={trace.run_id}&hops=8"


def _served(trace: Trace) -> Iterator[Step]:
    """The deployment that answered, if one did."""
    deployment = getattr(trace.run, "deployment", None)
    if deployment is None:
        return
    facts = [Fact("Engine", deployment.get_engine_display()), Fact("Serves", deployment.form)]
    for alias in deployment.aliases.all():
        facts.append(Fact("Alias", alias.name))
    yield Step(
        "rocket",
        "Deployment",
        f"{deployment.name} #{deployment.pk}",
        reverse("deployments:detail", args=[deployment.pk]),
        facts,
        deployment.state,
    )


def _models(trace: Trace) -> list[Artifact]:
    """What answered: the deployment's model and adapter, or what the run asked under this name."""
    run = trace.run
    deployment = getattr(run, "deployment", None)
    if deployment is not None:
        return [one for one in (deployment.artifact, deployment.adapter) if one is not None]
    if run is None:
        return []
    given = {use.name: use.artifact for use in run.inputs.select_related("artifact__run")}
    if trace.origin == Trace.Origin.EVALUATION:
        names = ("warm_start", "base") if trace.model == "warm_start" else (trace.model,)
    else:
        names = ("adapter", "base")
    return [given[name] for name in names if name in given]


def _behind(models: Sequence[Artifact], *, seen: set[int]) -> Iterator[Step]:
    """The models, each with the run that made it, newest first; then the data they learnt from."""
    starts = [Key("artifact", one.pk) for one in models]
    met = graph.walk(starts, "before", through=_is_way_back)
    pks = {edge.start.pk for edge in met if edge.start.kind == "artifact"}
    found = Artifact.objects.filter(pk__in={*pks, *(key.pk for key in starts)})
    sets: dict[int, Run] = {}
    for artifact in found.select_related("run__dataset__dataset").order_by("-pk"):
        run = artifact.run
        yield _artifact(artifact)
        if run.pk not in seen and artifact.kind != Artifact.Kind.BASE:
            seen.add(run.pk)
            yield _run(run, _read(run))
            if run.dataset_id is not None and run.kind in LEARNING:
                sets.setdefault(run.dataset_id, run)
    for run in sets.values():
        yield from _data(run)


def _read(run: Run) -> list[Fact]:
    """The dataset a run worked on, and how much of it is rubric where that shaped the model."""
    if run.dataset is None:
        return []
    url = reverse("datasets:detail", args=[run.dataset.pk])
    return [Fact("Dataset", str(run.dataset), url)]


def _is_way_back(edge: Edge) -> bool:
    """Along models and runs; data is told with the run that read it."""
    return edge.start.kind in ("artifact", "run")


def _artifact(artifact: Artifact) -> Step:
    facts = [*provenance.facts(artifact)]
    facts = [fact for fact in facts if fact.name != "Code revision"]
    if artifact.format:
        facts.insert(0, Fact("Format", artifact.format))
    facts.append(Fact("Size", filesizeformat(artifact.size_bytes)))
    facts.append(Fact("SHA-256", artifact.digest[:16], is_code=True))
    return Step(
        "layers" if artifact.kind == Artifact.Kind.ADAPTER else "box",
        artifact.get_kind_display(),
        artifact.name,
        reverse("runs:model", args=[artifact.pk]),
        facts,
    )


def _run(run: Run, first: Sequence[Fact] = ()) -> Step:
    facts = [*first, *provenance.training(run)]
    if run.stage:
        facts.insert(0, Fact("Stage", run.stage))
    if run.code_revision:
        facts.append(Fact("Code revision", run.code_revision, is_code=True))
    url = reverse("runs:detail", args=[run.pk])
    return Step("activity", provenance.label_of(run), run.name, url, facts, run.status)


def _data(run: Run, trace: Trace | None = None) -> Iterator[Step]:
    """The dataset a run read, and of an answer of its own the very prompt with its rubric."""
    version = run.dataset
    if version is None:
        return
    example = _example(version, trace) if trace is not None else None
    if example is not None:
        yield Step(
            "check",
            "Prompt and rubric",
            example.external_id,
            reverse("datasets:example", args=[example.pk]),
            [Fact("Rubric items", str(example.num_items)), Fact("Split", example.split)],
            is_for_engineers=False,
        )
    facts = [Fact("Version", f"v{version.number}"), Fact("Prompts", f"{version.num_examples:,}")]
    if run.kind in GRADING:
        facts.append(Fact("Rubric items", f"{version.num_items:,}"))
    facts.append(Fact("SHA-256", version.digest[:16], is_code=True))
    yield Step(
        "database",
        "Dataset with its rubrics" if run.kind in GRADING else "Dataset",
        str(version),
        reverse("datasets:detail", args=[version.pk]),
        facts,
        is_for_engineers=False,
    )


def _example(version: DatasetVersion, trace: Trace) -> Example | None:
    found = Example.objects.filter(version=version, external_id=trace.example_id)
    return found.defer("task").first()


def _place(trace: Trace) -> list[Fact]:
    if trace.origin == Trace.Origin.EVALUATION:
        return []
    parts = ", ".join(f"{name} {value:.3g}" for name, value in trace.components.items())
    found = [Fact("At step", str(trace.step))]
    if trace.reward is not None:
        found.append(
            Fact("Reward of this answer", f"{trace.reward:.3g}" + (f" ({parts})" if parts else ""))
        )
    return found
