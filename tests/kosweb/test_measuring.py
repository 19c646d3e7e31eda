from __future__ import annotations

from typing import Any

from kosweb import meters
from kosweb.measuring import Timed


def sockets(kind: str) -> float:
    return meters.SOCKETS.labels(kind)._value.get()


def requests(route: str, status: str) -> float:
    return meters.HTTP_REQUESTS.labels("POST", route, status)._value.get()


async def silent(message: dict[str, Any]) -> None:
    """Where an application's messages go."""


async def test_a_socket_counts_while_it_is_open_even_if_it_breaks():
    seen = []

    async def app(scope, receive, send):
        seen.append(sockets("runs"))
        raise ConnectionError

    before = sockets("runs")
    try:
        await Timed(app)({"type": "websocket", "path": "/ws/runs/4/"}, None, None)
    except ConnectionError:
        seen.append(sockets("runs"))
    assert seen == [before + 1, before]


async def test_what_django_never_sees_is_counted_around_it():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    before = requests("/v1/chat/completions", "200")
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions"}
    await Timed(app)(scope, None, silent)
    assert requests("/v1/chat/completions", "200") == before + 1


async def test_what_django_counts_is_not_counted_twice():
    async def app(scope, receive, send):
        dict(scope)["kos"]["by_django"] = True
        await send({"type": "http.response.start", "status": 418, "headers": []})

    await Timed(app)({"type": "http", "method": "POST", "path": "/x"}, None, silent)
    assert requests("none", "418") == 0
