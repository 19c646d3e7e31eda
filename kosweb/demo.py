"""The whole way from rubric prompts to a served model, on the sample data, headless."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from apps.accounts.models import Role, User
from apps.datasets.models import DatasetVersion
from apps.datasets.services import import_file, load_sample
from apps.runs import services
from apps.runs.models import Artifact, Run, Status
from apps.runs.pipelines import StageView, stages_of
from apps.runs.presets import PRESETS
from kos.config import ImportBase
from kos.data.bases import BaseSource, SmolLM2WithTools
from kos.errors import UserError

NAME = "Demo"
CHAT_NAME = "Demo chat with tools"
CHAT_BASE = SmolLM2WithTools()
POLL_SECONDS = 0.5


def find_pipeline() -> Run | None:
    """The demo's run that is done or under way."""
    pipelines = Run.objects.filter(kind="pipeline", name=NAME)
    return pipelines.filter(status=Status.DONE).first() or pipelines.active().first()


def launch_pipeline(base: Artifact) -> Run:
    return services.launch(
        _owner(),
        "pipeline",
        PRESETS["demo"].config,
        name=NAME,
        inputs={"base": base},
        dataset=load_sample(),
        benchmark=_benchmark(),
    )


def launch_chat(base: Artifact) -> Run:
    """A small model that calls the tools, to chat with while the main job runs."""
    return services.launch(
        _owner(), "deploy", PRESETS["demo-chat"].config, name=CHAT_NAME, inputs={"model": base}
    )


def is_chat_up() -> bool:
    return Run.objects.filter(kind="deploy", name=CHAT_NAME).active().exists()


def find_base(source: BaseSource | None = None) -> Artifact | None:
    name = (source or ImportBase().source).kind
    bases = Artifact.objects.filter(kind=Artifact.Kind.BASE, run__status=Status.DONE)
    return bases.filter(run__config__source__kind=name).first()


def launch_base(source: BaseSource | None = None) -> Run:
    config = ImportBase(source=source or ImportBase().source)
    return services.launch(_owner(), "base", config, name=config.source.label().partition(",")[0])


def follow(run: Run) -> Iterator[list[StageView]]:
    """How the run stands, twice a second, until it ends. Raises UserError when it fails."""
    while True:
        run.refresh_from_db()
        yield stages_of(run) if run.kind == "pipeline" else _parts_of(run)
        if run.status == Status.DONE:
            return
        if run.is_ended:
            raise UserError(f"{run} ended as {run.status}: {run.error}")
        time.sleep(POLL_SECONDS)


def reports_of(pipeline: Run) -> list[Path]:
    reports = Artifact.objects.filter(run__pipeline=pipeline, kind=Artifact.Kind.REPORT)
    return [report.location for report in reports.order_by("pk")]


def _owner() -> User:
    owner = User.objects.filter(role=Role.ADMIN).order_by("pk").first()
    if owner is None:
        raise UserError("the demo needs an account with the role admin; there is none")
    return owner


def _benchmark() -> DatasetVersion | None:
    """HealthBench rows, when KOS_HEALTHBENCH names a file of them."""
    if not settings.HEALTHBENCH:
        return None
    version, _report = import_file("HealthBench", Path(settings.HEALTHBENCH))
    return version


def _parts_of(run: Run) -> list[StageView]:
    return [
        StageView(part, run.pk, run.status, seen["done"], seen["total"])
        for part, seen in run.progress.items()
    ]
