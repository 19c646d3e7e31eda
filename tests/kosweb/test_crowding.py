"""Past the limits of pages and calls: refused at once, by a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import RequestFactory
from psycopg_pool import PoolTimeout

from kosweb import views
from kosweb.crowding import REQUESTS, Crowd

TAKEN = []


async def page(scope: Any, receive: Any, send: Any) -> None:
    """Reads its body, answers, and tells whether its seat was still held at each."""
    TAKEN[:] = [REQUESTS.num_taken]
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    TAKEN.append(REQUESTS.num_taken)
    await send({"type": "http.response.body", "body": b"ok"})


async def ask(path: str = "/runs/", *, pieces: tuple[bytes, ...] = (b"",), length: int = 0):
    """The status, headers and body of a reply, and how many pieces of the body were read."""
    told: list[dict[str, Any]] = []
    left = [*pieces]

    async def receive() -> dict[str, Any]:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    headers = [(b"content-length", str(length).encode())] if length else []
    await Crowd(page)({"type": "http", "path": path, "headers": headers}, receive, send)
    start, body = told[0], b"".join(one.get("body", b"") for one in told[1:])
    return start["status"], dict(start["headers"]), body.decode(), len(pieces) - len(left)


async def test_one_request_too_many_is_refused_with_a_time_to_come_back(settings):
    settings.MOST_REQUESTS = 1
    with REQUESTS.taken(None):
        status, headers, body, num_read = await ask()
    assert (status, headers[b"retry-after"], num_read) == (503, b"2", 0)
    assert body.startswith("Kos works on 1 requests at once here")


async def test_a_program_is_told_so_in_a_problem(settings):
    settings.MOST_REQUESTS = 1
    with REQUESTS.taken(None):
        status, headers, body, _ = await ask("/api/runs/")
    assert (status, headers[b"content-type"]) == (503, b"application/problem+json")
    assert json.loads(body)["type"] == "/api/problems/busy"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_are_answered_all_the_same(settings, path):
    settings.MOST_REQUESTS = 1
    with REQUESTS.taken(None):
        assert (await ask(path))[0] == 200


async def test_a_request_counts_until_its_reply_begins():
    assert (await ask())[0] == 200
    assert TAKEN == [1, 0]
    assert REQUESTS.num_taken == 0


async def test_a_body_that_says_it_is_too_long_is_not_read(settings):
    settings.MOST_BODY_BYTES = 10
    status, _, body, num_read = await ask(pieces=(b"x" * 11,), length=11)
    assert (status, num_read) == (413, 0)
    assert body == "The request is longer than 10 bytes. Send less, or in parts."


async def test_a_body_that_does_not_say_is_read_no_further(settings):
    settings.MOST_BODY_BYTES = 10
    status, headers, _, num_read = await ask("/api/x", pieces=(b"12345",) * 9)
    assert (status, num_read) == (413, 3)
    assert headers[b"content-type"] == b"application/problem+json"
    assert REQUESTS.num_taken == 0


async def test_a_body_of_just_that_length_is_taken(settings):
    settings.MOST_BODY_BYTES = 10
    assert (await ask(pieces=(b"12345", b"12345"), length=10))[0] == 200


def wait_in_vain() -> None:
    raise PoolTimeout


@pytest.mark.parametrize("path", ["/runs/", "/api/runs/"])
def test_waiting_in_vain_for_the_database_is_no_fault_but_busy(path):
    try:
        wait_in_vain()
    except PoolTimeout:
        reply = views.broken(RequestFactory().get(path))
    assert (reply.status_code, reply["Retry-After"]) == (503, "5")
    assert "all connections to its database are at work" in reply.content.decode()
