"""A client that others generate from the document works: openapi-python-client's, two calls."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from apps.accounts import services as accounts
from kosweb.api import api
from tests.factories import make_user

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_text(json.dumps(api.get_openapi_schema(path_prefix="/api/"), default=str))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(document)]
    command += ["--output-path", str(folder / "client"), "--meta", "none"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert said.returncode == 0, said.stdout + said.stderr
    return folder


def test_no_call_is_missing_in_it(package):
    made = {file.stem for file in (package / "client" / "api").rglob("*.py")}
    wanted = {one.operation_id for one in api.operations() if one.operation_id}
    assert wanted <= made


@pytest.fixture
def one_connection():
    """A server's connection ends with its request; the test's one must not."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def test_a_generated_client_starts_a_run_and_finds_it(db, package, one_connection, monkeypatch):
    monkeypatch.syspath_prepend(str(package))
    client = importlib.import_module("client")
    launch = importlib.import_module("client.api.runs.runs_launch")
    listed = importlib.import_module("client.api.runs.runs_list")
    token = accounts.create_token(make_user(), "generated").text
    kos = client.AuthenticatedClient(
        base_url="http://testserver",
        token=token,
        httpx_args={"transport": httpx.WSGITransport(WSGIHandler())},
    )
    body = importlib.import_module("client.models").RunIn(kind="base", name="from outside")
    made = launch.sync(client=kos, body=body, idempotency_key="once")
    found = listed.sync(client=kos, limit=10)
    assert [run.id for run in found.items] == [made.id]
    assert found.items[0].name == "from outside"
