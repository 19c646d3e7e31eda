from __future__ import annotations

import json

import httpx
import pytest

from kos.client import KosError, UnreachableError
from kos.client.streams import Message, messages
from tests.kos.client.fake import client, refusal

RETRY = "retry: 2000\n\n"
END = "id: 4\nevent: end\ndata: {}\n\n"


class Broken(httpx.SyncByteStream):
    """A body that breaks off after its text."""

    def __init__(self, text):
        self.text = text

    def __iter__(self):
        yield self.text.encode()
        raise httpx.ReadError("connection reset")


def event(seq, kind="note"):
    data = {"seq": seq, "kind": kind, "attempt": 1, "data": {"text": f"line {seq}"}}
    return f"id: {seq}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


def stream(*texts, breaks=False):
    text = "".join(texts)
    body = Broken(text) if breaks else httpx.ByteStream(text.encode())
    headers = {"Content-Type": "text/event-stream"}
    return lambda request: httpx.Response(200, stream=body, headers=headers)


def test_lines_become_events_as_the_standard_says():
    text = ": still here\n\nid: 3\ndata: one\ndata:two\n\nevent: end\ndata: {}\n\ndata: cut"
    found = [*messages(text.split("\n"))]
    assert found == [Message("3", "message", "one\ntwo"), Message("3", "end", "{}")]


def test_a_broken_stream_goes_on_where_it_broke():
    kos, asked, _ = client(
        stream(RETRY, event(1), event(2), 'id: 3\nevent: note\ndata: {"se', breaks=True),
        httpx.ConnectError("refused"),
        stream(RETRY, event(2), event(3), event(4), END),
    )
    assert [one.seq for one in kos.runs.stream(7)] == [1, 2, 3, 4]
    assert [request.headers["Last-Event-ID"] for request in asked] == ["0", "2", "2"]


def test_a_stream_that_was_closed_politely_is_opened_again():
    kos, asked, _ = client(stream(RETRY, event(1)), stream(event(2), END))
    assert [one.seq for one in kos.runs.stream(7)] == [1, 2]
    assert asked[1].headers["Last-Event-ID"] == "1"


def test_a_stream_begins_after_the_event_it_is_told():
    kos, asked, _ = client(stream(event(3), END))
    assert [one.seq for one in kos.runs.stream(7, after=2)] == [3]
    assert asked[0].headers["Last-Event-ID"] == "2"


def test_a_console_that_is_gone_is_said_to_be_gone():
    kos, asked, _ = client(stream(event(1), breaks=True), httpx.ConnectError("refused"), tries=3)
    with pytest.raises(UnreachableError):
        [*kos.runs.stream(7)]
    assert len(asked) == 3


def test_a_run_that_is_not_there_is_not_waited_for():
    kos, asked, _ = client(refusal(404))
    with pytest.raises(KosError) as caught:
        [*kos.runs.stream(7)]
    assert (caught.value.status, len(asked)) == (404, 1)


def test_waiting_tells_how_far_it_is_and_ends_with_the_run():
    progress = {"stage": "steps", "done": 2, "total": 4, "unit": "steps"}
    data = json.dumps({"seq": 1, "kind": "progress", "attempt": 1, "data": progress})
    moves = []
    kos, _, _ = client(
        stream(f"id: 1\nevent: progress\ndata: {data}\n\n", END),
        lambda request: httpx.Response(200, json={"id": 7, "status": "done"}),
    )
    run = kos.runs.wait(7, progress=moves.append)
    assert (run.is_done, moves[0].share, moves[0].unit) == (True, 0.5, "steps")


def change(number, status):
    data = {"run": 7, "name": "night", "status": status}
    return f"id: {number}\nevent: status\ndata: {json.dumps(data)}\n\n"


def test_changes_go_on_from_where_the_stream_began_though_nothing_was_told_yet():
    kos, asked, _ = client(
        stream("id: 40\nretry: 2000\n\n", breaks=True),
        stream("id: 40\nretry: 2000\n\n", change(41, "done")),
    )
    found = next(kos.events(everybody=True))
    assert (found.id, found.run, found.status) == (41, 7, "done")
    assert "Last-Event-ID" not in asked[0].headers
    assert asked[1].headers["Last-Event-ID"] == "40"
    assert asked[0].url.query == b"everybody=true"
