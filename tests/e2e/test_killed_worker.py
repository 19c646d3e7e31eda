"""A worker killed in the middle of real training: no event lost, the same weights at the end."""

from __future__ import annotations

import json
import time
from typing import Any

import psutil
import pytest

from tests.consoles import Console
from tests.e2e.conftest import toy_base

pytestmark = pytest.mark.slow

LAUNCH = """
from apps.accounts.models import User
from apps.datasets.models import DatasetVersion
from apps.runs.models import Artifact
from apps.runs.services import launch
base = Artifact.objects.get(run__name="toy base")
config = {{"steps": 30, "groups": 4, "group_size": 4, "checkpoint_seconds": 0,
           "sampling": {{"max_tokens": 24}}, "adam": {{"learning_rate": 0.003}}}}
print(launch(User.objects.get(username="ada"), "train", config, name={name!r}, seed=5,
             inputs={{"base": base}}, dataset=DatasetVersion.objects.get(dataset__name="Toy set")).pk)
"""
STATE = """
import json
from apps.runs.models import Artifact, Event, Run
run = Run.objects.get(pk={pk})
steps = Event.objects.filter(run=run, kind="step").order_by("seq")
print(json.dumps({{
    "status": run.status, "attempt": run.attempt, "error": run.error, "last_seq": run.last_seq,
    "seqs": list(Event.objects.filter(run=run).order_by("seq").values_list("seq", flat=True)),
    "steps": {{e.data["step"]: e.data["metrics"]["reward/mean"] for e in steps}},
    "digests": list(Artifact.objects.filter(run=run).values_list("digest", flat=True)),
}}))
"""


def state(console: Console, pk: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(console.shell(STATE.format(pk=pk)))
    assert found["status"] != "failed", found["error"]
    return found


def wait_for(console: Console, pk: int, is_there: Any, *, seconds: float = 600) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = state(console, pk)
        if is_there(found):
            return found
        time.sleep(0.3)
    raise AssertionError(f"run {pk} did not get there: {found}")


def kill_worker(console: Console) -> None:
    """SIGKILL the worker of the gpu queue of this console alone."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "celery" in command and "gpu" in command and _is_of(process, console):
            process.kill()
            return
    raise AssertionError("no worker of the gpu queue is running")


def _is_of(process: psutil.Process, console: Console) -> bool:
    return process.environ().get("KOS_VAR") == console.environment["KOS_VAR"]


def test_training_survives_the_death_of_its_worker(prepared: Console) -> None:
    wait_for(prepared, toy_base(prepared), lambda found: found["status"] == "done")
    calm = int(prepared.shell(LAUNCH.format(name="unbroken")))
    unbroken = wait_for(prepared, calm, lambda found: found["status"] == "done")

    hit = int(prepared.shell(LAUNCH.format(name="killed")))
    wait_for(prepared, hit, lambda found: len(found["steps"]) >= 5)
    kill_worker(prepared)
    killed = wait_for(prepared, hit, lambda found: found["status"] == "done")

    assert killed["attempt"] > 1
    assert killed["seqs"] == list(range(1, killed["last_seq"] + 1))
    assert killed["steps"] == unbroken["steps"]
    assert killed["digests"] == unbroken["digests"]
