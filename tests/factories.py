"""Builders of rows: ``make_run(status="done")``. Each makes what it needs around it."""

from __future__ import annotations

from itertools import count
from typing import Any

from apps.accounts.models import Role, User
from apps.chat.models import Conversation
from apps.datasets.models import Dataset, DatasetVersion, Example
from apps.datasets.services import example_of
from apps.datasets.statistics import facts_of
from apps.deployments.models import Deployment
from apps.runs.models import Artifact, Run
from apps.traces.models import Trace
from kos.config import JOBS
from kos.data.rubrics import RubricTask

PASSWORD = "correct horse battery"
_numbers = count(1)


def make_user(name: str = "", role: str = Role.ENGINEER, **fields: Any) -> User:
    name = name or f"user-{next(_numbers)}"
    is_staff = role == Role.ADMIN
    return User.objects.create_user(
        name, password=PASSWORD, role=role, is_staff=is_staff, is_superuser=is_staff, **fields
    )


def make_version(*tasks: RubricTask, **fields: Any) -> DatasetVersion:
    number = next(_numbers)
    fields = {"number": 1, "digest": f"{number:064x}", "source": "test"} | fields
    dataset = fields.pop("dataset", None) or Dataset.objects.create(name=f"set {number}")
    version = DatasetVersion.objects.create(dataset=dataset, **fields)
    Example.objects.bulk_create(
        [example_of(version, position, task) for position, task in enumerate(tasks)]
    )
    facts_of(version)
    return version


def make_run(kind: str = "base", **fields: Any) -> Run:
    config = fields.pop("config", JOBS[kind]().model_dump(mode="json"))
    fields = {"name": f"{kind} {next(_numbers)}", "owner": None} | fields
    fields["owner"] = fields["owner"] or make_user()
    return Run.objects.create(kind=kind, config=config, **fields)


def make_artifact(kind: str = "base", **fields: Any) -> Artifact:
    number = next(_numbers)
    run = fields.pop("run", None) or make_run(status="done")
    fields = {"name": f"{kind} {number}", "path": f"{run.pk}/{kind}-{number}"} | fields
    return Artifact.objects.create(run=run, kind=kind, digest=f"{number:064x}", **fields)


def make_deployment(**fields: Any) -> Deployment:
    fields = {"name": f"kos-{next(_numbers)}", "status": Deployment.Status.READY} | fields
    run = fields.pop("run", None) or make_run("deploy", status="running")
    artifact = fields.pop("artifact", None) or make_artifact("merged")
    return Deployment.objects.create(run=run, artifact=artifact, **fields)


def make_trace(**fields: Any) -> Trace:
    run = fields.pop("run", None) or make_run("train", status="done")
    fields = {
        "attempt": 1,
        "model": "policy",
        "example_id": f"example-{next(_numbers)}",
        "messages": [{"role": "user", "content": "Which dose?"}],
        "answer": "Take it with food.",
        "num_tokens": 6,
        "num_answer_tokens": 5,
        "stop_reason": "end",
        "score": 0.5,
    } | fields
    return Trace.objects.create(run=run, **fields)


def make_conversation(**fields: Any) -> Conversation:
    owner = fields.pop("owner", None) or make_user(role=Role.CLINICIAN)
    deployment = fields.pop("deployment", None) or make_deployment()
    return Conversation.objects.create(
        owner=owner, deployment=deployment, title=fields.pop("title", "A question"), **fields
    )
