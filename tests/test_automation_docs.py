"""Every example of docs/automation.md, in its order, against a running console."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction

from apps.accounts import services as accounts
from apps.runs import events, services
from apps.runs.models import Run, Status
from kos.client import sign
from kos.trackers import TRACKERS
from kosweb import environment
from tests.factories import make_artifact, make_user, make_version
from tests.kos.serving import scripted

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, reset_sequences=True)]
TEXT = (Path(settings.ROOT) / "docs" / "automation.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def work_until(ended):
    """A worker that needs no model: every waiting run says a step and is done."""
    try:
        while not ended.wait(0.1):
            for pk in Run.objects.filter(status=Status.QUEUED).values_list("pk", flat=True):
                run = services.claim(pk, "a worker", lease_seconds=60)
                said = [
                    events.new("progress", stage="steps", done=1, total=2, unit="steps"),
                    events.new("step", step=1, metrics={"loss": 0.5}),
                ]
                with transaction.atomic():
                    services.finish(pk, run.attempt, Status.DONE, said)
    finally:
        connection.close()


@pytest.fixture
def console(transactional_db, tmp_path, monkeypatch):
    """Address and token of a console with a base, a dataset and a worker."""
    from kosweb.asgi import application

    user = make_user("ada")
    make_artifact("base")
    make_version()
    Run.objects.update(owner=user)
    token = accounts.create_token(user, "docs").text
    ended = threading.Event()
    worker = threading.Thread(target=work_until, args=[ended])
    with scripted.serve(application, lifespan="on") as server:
        monkeypatch.setenv("KOS_URL", server.url)
        monkeypatch.setenv("KOS_TOKEN", token)
        worker.start()
        yield server.url, token
        ended.set()
        worker.join()


def in_shell(code, folder):
    """Run a block in bash, with ``kos`` as it is installed."""
    kos = folder / "kos"
    kos.write_text(f'#!/bin/sh\nexec {sys.executable} -m kos.client "$@"\n')
    kos.chmod(0o755)
    (folder / "python").unlink(missing_ok=True)
    (folder / "python").symlink_to(sys.executable)
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", code],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(settings.ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    assert "application/problem" not in done.stdout
    assert '"type": "/api/problems' not in done.stdout, done.stdout
    return done.stdout


def test_every_example_works(console, tmp_path):
    url, token = console
    names: dict[str, object] = {}
    said = []
    for language, code in BLOCKS:
        code = code.replace("http://127.0.0.1:8000", url).replace("kos_...", token)
        if language == "python":
            exec(compile(code, "docs/automation.md", "exec"), names)
        elif language == "sh":
            said.append(in_shell(code, tmp_path))
    names["kos"].close()
    assert any("event: end" in one for one in said)
    check_receivers(names)


def check_receivers(names):
    body = b'{"id": "evt_1"}'
    header = sign("koshook_...", body, at=int(time.time()))
    assert names["receive"]({"Kos-Signature": header}, body) == 204
    assert names["receive"]({"Kos-Signature": header}, b"{}") == 401
    assert names["is_genuine"]("koshook_...", header, body)
    assert not names["is_genuine"]("koshook_other", header, body)


def test_the_settings_of_the_trackers_are_read(monkeypatch):
    (block,) = [code for language, code in BLOCKS if language == "ini"]
    for line in block.splitlines():
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value)
    assert environment.words("KOS_TRACKERS", "") == [*TRACKERS]
    assert environment.text("KOS_TRACKERS_PROJECT") == "kos"


def test_no_block_is_left_out():
    assert {language for language, _ in BLOCKS} == {"sh", "python", "ini"}
