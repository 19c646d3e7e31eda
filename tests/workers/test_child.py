from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from kos.config import Train
from kos.digests import digest_of
from workers.child import CANCELLED, DONE, FAILED, Spec, clean


@pytest.fixture
def start(tmp_path):
    """Starts a child with a fake job; what is left at the end is killed."""
    started = []

    def start_one(job, *, parent=None, **knobs):
        spec = Spec(
            kind="train",
            work=f"tests.workers.fake_jobs:{job}",
            config=Train(**knobs).model_dump(mode="json"),
            inputs={},
            folder=tmp_path,
            seed=1,
            journal=tmp_path / "1.jsonl",
            parent=parent or os.getpid(),
        )
        child = subprocess.Popen(
            [sys.executable, "-m", "workers.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(child)
        child.stdin.write(spec.model_dump_json().encode())
        child.stdin.close()
        return child

    yield start_one
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stderr.close()


def lines(child):
    return [json.loads(line) for line in child.stdout]


def test_a_job_that_returns_ends_with_0_and_tells_everything(start):
    child = start("count", steps=2)
    kinds = [line["data"]["kind"] for line in lines(child)]
    assert kinds == ["step", "progress", "checkpoint"] * 2 + ["saved", "result", "done"]
    assert child.wait() == DONE


def test_everything_is_in_the_journal_too(start, tmp_path):
    *said, end = start("count", steps=2).stdout
    assert (tmp_path / "1.jsonl").read_bytes() == b"".join(said)
    assert json.loads(end)["data"] == {"kind": "done"}


def test_what_a_library_prints_goes_to_the_log(start):
    child = start("count", steps=1)
    assert all(line["at"] for line in lines(child))
    assert b"a library says hello" in child.stderr.read()


def test_what_was_saved_comes_with_its_hash(start, tmp_path):
    saved = [line for line in lines(start("count", steps=1)) if line["data"]["kind"] == "saved"]
    assert (saved[0]["digest"], saved[0]["size_bytes"]) == digest_of(tmp_path / "adapter.json")


def test_sigterm_cancels_the_job_at_its_next_word(start):
    child = start("count", steps=10_000)
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    child.stdout.read()
    assert child.wait() == CANCELLED


def test_a_mistake_of_the_user_is_told_word_for_word(start):
    child = start("refuse")
    data = lines(child)[-1]["data"]
    assert (data["kind"], data["error"]) == ("failed", "the base has no tokenizer; pick another")
    assert (data["is_user_error"], child.wait()) == (True, FAILED)


def test_our_mistake_comes_with_its_traceback(start):
    data = lines(start("stumble"))[-1]["data"]
    assert data["error"] == "ZeroDivisionError: by nothing"
    assert "in stumble" in data["traceback"]
    assert not data["is_user_error"]


def test_a_child_whose_worker_is_gone_does_not_begin(start):
    child = start("count", parent=1)
    assert lines(child) == []
    assert child.wait() == FAILED


def test_numbers_and_texts_that_json_or_postgres_refuse_are_mended():
    dirty = {"nan": float("nan"), "list": [float("inf"), 1.5], "nul": "a\x00b", "half": "\ud800"}
    assert clean(dirty) == {"nan": None, "list": [None, 1.5], "nul": "a\ufffdb", "half": "?"}
