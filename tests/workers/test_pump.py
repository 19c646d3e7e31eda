"""A job that says too much: what waits is bounded in bytes, and the job waits with it."""

from __future__ import annotations

import io
import queue
import threading

import pytest

from apps.runs.models import Run, Status
from workers import pump, tasks
from workers.pump import Waiting, _read


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(pump, "QUEUE_BYTES", 100)
    monkeypatch.setattr(pump, "LINE_BYTES", 60)


def taken(lines: Waiting) -> list[bytes]:
    return [*iter(lambda: lines.get(timeout_seconds=5), None)]


def test_a_reader_waits_while_too_many_bytes_wait(small):
    lines, said = Waiting(), b"".join(b"%049d\n" % n for n in range(20))
    reader = threading.Thread(target=_read, args=([], io.BytesIO(said), lines))
    reader.start()
    reader.join(0.3)
    assert reader.is_alive()
    assert (len(lines), lines.size_bytes) == (2, 100)
    assert b"".join(taken(lines)) == said
    reader.join(60)


def test_a_line_that_is_too_long_is_cut_off_and_the_next_is_whole(small):
    lines = Waiting()
    _read([], io.BytesIO(b"y" * 200 + b"\nnext\n"), lines)
    assert [len(line) for line in taken(lines)] == [61, 5]


def test_half_a_line_is_left_out(small):
    lines = Waiting()
    _read([], io.BytesIO(b"whole\nhal"), lines)
    assert taken(lines) == [b"whole\n"]


def test_nothing_said_in_time_is_empty():
    with pytest.raises(queue.Empty):
        Waiting().get(timeout_seconds=0.01)


@pytest.mark.django_db(transaction=True)
def test_a_job_that_says_a_line_without_end_fails_with_a_sentence(make_job, monkeypatch):
    monkeypatch.setattr(pump, "LINE_BYTES", 60)
    run = make_job("count")
    tasks.execute(run.pk)
    run = Run.objects.get(pk=run.pk)
    assert run.status == Status.FAILED
    assert run.error == "it said more than 60 bytes in one line; keep that in a file"
