"""Against Trackio itself, in a folder of this machine."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest

from kos import trackers
from tests.kos.trackers.conftest import AT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("trackio"), reason="trackio is not installed"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    from trackio import sqlite_storage, utils

    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    # It reads TRACKIO_DIR once, when it is imported.
    for module in (sqlite_storage, utils):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")


def rows(name):
    from trackio.sqlite_storage import SQLiteStorage

    return SQLiteStorage.get_logs("kos", name)


def test_a_run_that_is_taken_up_again_goes_on_in_the_same_one(start):
    first = trackers.make("trackio")
    link = first.start(start)
    first.log(1, {"reward/mean": 0.25}, AT)
    first.finish("waiting", {})
    second = trackers.make("trackio")
    assert second.start(replace(start, id=link.id)) == link
    second.log(2, {"reward/mean": 0.5}, AT)
    second.finish("done", {})
    assert [(one["step"], one["reward/mean"]) for one in rows(link.id)] == [(1, 0.25), (2, 0.5)]
    assert (link.id, link.url) == ("night shift-42", "")


def test_the_page_of_a_server_is_named_without_its_token(monkeypatch):
    from kos.trackers.trackio import _page

    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://trackio.example:7860/?write_token=s3cret")
    assert _page() == "http://trackio.example:7860/"
