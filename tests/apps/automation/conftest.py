"""A program with a token, and a receiver of webhooks that remembers what it was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from django.test import Client

from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.automation import guard
from apps.automation.rates import Buckets
from tests.factories import make_user


class Program(Client):
    """A client with a bearer token: ``program.post("/api/runs/", {...})`` sends JSON."""

    def __init__(self, user: User, *scopes: str) -> None:
        made = accounts.create_token(user, "test", scopes=scopes or ("all",))
        super().__init__(headers={"Authorization": f"Bearer {made.text}"})
        self.user = user
        self.token = made.token


class Receiver(httpx.AsyncBaseTransport):
    """Answers with ``status``; ``calls`` are the requests it got."""

    def __init__(self) -> None:
        self.status = 200
        self.text = "thanks"
        self.calls: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.calls.append(request)
        # As from the wire: not read yet.
        return httpx.Response(self.status, stream=httpx.ByteStream(self.text.encode()))


@pytest.fixture(autouse=True)
def fresh_buckets(monkeypatch) -> None:
    monkeypatch.setattr(guard, "BUCKETS", Buckets())


@pytest.fixture
def program(db) -> Program:
    """An engineer's program that may do everything."""
    return Program(make_user("engine"))


@pytest.fixture
def program_for(db) -> Iterator[Callable[..., Program]]:
    """Programs with the scopes named: ``program_for("runs:read")``."""
    user = make_user("scoped")
    yield lambda *scopes: Program(user, *scopes)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()
