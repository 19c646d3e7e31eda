"""Against W&B itself, offline: what it would send lies in a file."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import replace
from importlib.util import find_spec

import pytest

from kos import trackers
from kos.errors import UserError
from tests.kos.trackers.conftest import AT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("wandb"), reason="wandb is not installed"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path))


def records(folder, wait_s=60):
    """Everything that would be sent; W&B's own process closes the file after ``finish`` returns."""
    from wandb.proto.wandb_internal_pb2 import Record

    end = time.monotonic() + wait_s
    (path,) = folder.rglob("run-*.wandb")
    while True:
        found = [Record.FromString(data) for data in chunks(path.read_bytes())]
        if found and found[-1].HasField("exit"):
            return found
        assert time.monotonic() < end, f"{path} holds {len(found)} records and no end"
        time.sleep(0.1)


def chunks(raw):
    """The records of a LevelDB log: crc (4), length (2), sort (1: whole, 4: last part), data."""
    place, parts = 7, b""  # past the file's own mark
    while len(raw) - place > 7:
        if 32768 - place % 32768 < 7:  # no room for a head: the block is filled up
            place += 32768 - place % 32768
        length, sort = struct.unpack_from("<HB", raw, place + 4)
        if place + 7 + length > len(raw):  # not written to its end yet
            return
        parts += raw[place + 7 : place + 7 + length]
        place += 7 + length
        if sort in (1, 4):
            yield parts
            parts = b""


def test_a_run_leaves_its_numbers_and_its_facts(start):
    tracker = trackers.make("wandb")
    link = tracker.start(start)
    tracker.log(7, {"reward/mean": 0.25}, AT)
    tracker.finish("done", {"score": 0.75})
    found = records(start.folder)
    rows = [
        {
            ".".join(item.nested_key) or item.key: json.loads(item.value_json)
            for item in one.history.item
        }
        for one in found
        if one.HasField("history")
    ]
    assert (rows[0]["reward/mean"], rows[0]["step"]) == (0.25, 7)
    assert (link.url, link.id[:4]) == ("", "kos-")
    (run,) = [one.run for one in found if one.HasField("run")]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (config["kos.dataset"], config["loss.kind"]) == ("letters version 3", "cispo")
    assert (run.run_id, run.project, [*run.tags]) == (link.id, "kos", ["nightly"])


def test_no_text_of_the_config_and_no_environment_is_in_the_file(start, monkeypatch):
    monkeypatch.setenv("WANDB_TEST_SECRET", "xyzzy-secret")
    tracker = trackers.make("wandb")
    tracker.start(start)
    tracker.finish("done", {})
    assert records(start.folder)
    raw = b"".join(path.read_bytes() for path in start.folder.rglob("*") if path.is_file())
    for text in (b"careful clinician", b"hunter2", b"judge-key", b"xyzzy-secret"):
        assert text not in raw


def test_a_run_that_is_taken_up_again_keeps_its_id(start):
    first = trackers.make("wandb")
    link = first.start(start)
    first.finish("waiting", {})
    second = trackers.make("wandb")
    assert second.start(replace(start, id=link.id)).id == link.id
    second.finish("done", {})


def test_without_a_key_nobody_is_asked_for_one(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError, match="WANDB_MODE=offline"):
        trackers.make("wandb")
