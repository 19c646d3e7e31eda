"""``Kos``: the whole API behind one name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import httpx

from kos.client import settings, streams
from kos.client.chat import Chat
from kos.client.datasets import Datasets
from kos.client.models import Models
from kos.client.rooms import Deployments, Evals, Reviews, Traces, Webhooks
from kos.client.rows import Change
from kos.client.runs import Runs
from kos.client.signatures import webhook_is_genuine
from kos.client.wire import TRIES, Wire


class Kos:
    """A console of Kos. Not given, address and token come from KOS_URL and KOS_TOKEN, then
    from what ``kos login`` kept. One object may be used by several threads.
    """

    def __init__(
        self,
        url: str = "",
        token: str = "",
        *,
        timeout_seconds: float = 60.0,
        tries: int = TRIES,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        address = settings.find(url, token)
        self.url = address.url
        self.wire = Wire(
            address.url,
            address.token,
            timeout_seconds=timeout_seconds,
            tries=tries,
            transport=transport,
            sleep=sleep,
        )
        self.runs = Runs(self.wire)
        self.datasets = Datasets(self.wire)
        self.models = Models(self.wire)
        self.deployments = Deployments(self.wire)
        self.chat = Chat(self.wire)
        self.evals = Evals(self.wire)
        self.reviews = Reviews(self.wire)
        self.traces = Traces(self.wire)
        self.webhooks = Webhooks(self.wire)

    webhook_is_genuine = staticmethod(webhook_is_genuine)

    def me(self) -> dict[str, Any]:
        """Who asks: username, role, and what the token may do."""
        found: dict[str, Any] = self.wire.get("/api/me")
        return found

    def search(self, words: str, *, limit: int | None = None) -> list[dict[str, Any]]:
        """Whatever in Kos has these words: kind, title, note and url of each."""
        return [*self.wire.pages("/api/search", limit=limit, q=words)]

    def events(self, *, after: int | None = None, everybody: bool = False) -> Iterator[Change]:
        """Changes of the status of my runs, or of everybody's, as they happen; it never ends.

        From now on, or all since the change ``after``. A broken connection is opened again where
        it broke.
        """
        changes = streams.follow(
            self.wire, "/api/events", after=after, everybody=everybody or None
        )
        for message, data in changes:
            yield Change.of({"id": int(message.id), **data})

    def close(self) -> None:
        """Let go of the connections."""
        self.wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()
