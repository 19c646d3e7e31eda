"""Gives pytest a PostgreSQL of its own and a fresh KOS_VAR.

pytest-django reads the settings before any conftest, so this is loaded by ``-p`` and sets
the environment first. xdist's workers inherit it, each with a folder of its own below KOS_VAR
(and, by pytest-django, a database). With DATABASE_URL set, that server is used.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from kosweb.embedded import postgres
from kosweb.embedded.process import Child
from kosweb.embedded.sockets import socket_folder

_servers: list[Child] = []


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        own = Path(os.environ["KOS_VAR"]) / worker
        own.mkdir(exist_ok=True)
        os.environ["KOS_VAR"] = str(own)
        return
    var = Path(tempfile.mkdtemp(prefix="kos-test-"))
    os.environ["KOS_VAR"] = str(var)
    if "DATABASE_URL" in os.environ:
        return
    server = postgres.Postgres(var, var / "postgres.log", is_durable=False)
    server.prepare()
    child = server.make()
    child.start()
    _servers.append(child)
    server.wait_ready(child)
    os.environ["DATABASE_URL"] = postgres.url(var)


class Schedule(LoadScopeScheduling):
    """A file's tests go to one process together; so do all browser tests, which share a console."""

    def _split_scope(self, nodeid):
        file = nodeid.partition("::")[0]
        return "tests/e2e" if file.startswith("tests/e2e/") else file


# xdist 3.8 has groups for this ("loadgroup"), which under pytest 9.2 change nothing.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    # The order of the collection, as it is made below.
    config.option.loadscopereorder = False
    return Schedule(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """What takes long comes first where several processes test: none waits for another's last."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_unconfigure():
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    var = Path(os.environ["KOS_VAR"])
    for child in _servers:
        child.stop()
    shutil.rmtree(socket_folder(var / "postgres"), ignore_errors=True)
    shutil.rmtree(var)
