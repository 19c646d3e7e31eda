"""A browser's end of a consumer's socket, in the test's own event loop.

``channels.testing`` has one, but importing it needs daphne, which Kos does not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from asgiref.testing import ApplicationCommunicator


class Socket(ApplicationCommunicator):
    """``await Socket.open(Consumer.as_asgi(), "/ws/runs/1/", user=user, pk=1)``"""

    @classmethod
    async def open(cls, application: Any, path: str, *, user: Any, **kwargs: Any) -> Socket:
        path, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": [],
            "subprotocols": [],
            "user": user,
            "url_route": {"args": (), "kwargs": kwargs},
        }
        socket = cls(application, scope)
        await socket.send_input({"type": "websocket.connect"})
        message = await socket.receive_output(60)
        assert message["type"] == "websocket.accept", message
        return socket

    async def send(self, data: Any) -> None:
        await self.send_input({"type": "websocket.receive", "text": json.dumps(data)})

    async def receive(self, *, timeout_seconds: float = 60) -> Any:
        message = await self.receive_output(timeout_seconds)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def close_code(self) -> int:
        """The code with which the server closes the socket."""
        message = await self.receive_output(60)
        assert message["type"] == "websocket.close", message
        return message["code"]

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(60)


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for what other tasks of this event loop do."""
    async with asyncio.timeout(60):
        while not is_true():
            await asyncio.sleep(0.01)
