"""What evaluations add to the page of a model: how it, and what was made of it, scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from apps.evals import reports
from apps.runs.artifacts import panels
from apps.runs.models import Artifact, Run, RunInput

SHOWN = 20
# Jobs whose product is the same model in another form.
RESHAPING = ("merge", "export")


class Measured(NamedTuple):
    """A score: of which form of the model, under which name, in which evaluation."""

    artifact: Artifact
    run: Run
    model: str
    value: float | None


def register() -> None:
    panels.add("evals", panel)


def panel(artifact: Artifact) -> panels.Panel | None:
    rows = [*measured(artifact)] if artifact.is_model else []
    if not rows:
        return None
    return panels.Panel("What was measured", "evals/_of_model.html", {"rows": rows})


def measured(artifact: Artifact) -> Iterator[Measured]:
    """Newest evaluations of ``artifact`` and of its merged and exported forms."""
    asked = RunInput.objects.filter(
        artifact__in=_forms(artifact), run__kind="evaluate"
    ).select_related("artifact")
    uses = [*asked.order_by("-run", "pk")[:SHOWN]]
    runs = reports.listed(Run.objects.filter(pk__in=[use.run_id for use in uses]))
    found = {run.pk: run for run in runs.select_related("dataset__dataset")}
    for use in uses:
        run = found[use.run_id]
        yield Measured(use.artifact, run, use.name, dict(reports.values_of(run)).get(use.name))


def _forms(artifact: Artifact) -> list[int]:
    """It, and what merging and exporting made of it."""
    forms = [artifact.pk]
    if artifact.kind == Artifact.Kind.BASE:
        return forms
    wave = forms
    for _ in RESHAPING:
        made = Artifact.objects.filter(
            run__kind__in=RESHAPING,
            run__inputs__artifact__in=wave,
            kind__in=("merged", "quantised"),
        )
        wave = [*made.order_by("-pk").values_list("pk", flat=True)[:SHOWN]]
        forms += wave
    return forms
