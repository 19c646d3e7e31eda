"""Past the limits of answers: refused before the body is read, and nothing piles up."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from django.db import OperationalError

from apps.accounts.models import User
from apps.deployments import memo, metering, relay
from apps.deployments.asgi import Gateway
from apps.deployments.limits import ANSWERS
from apps.deployments.memo import Memo
from apps.deployments.metering import Meter, MeteredClient, UsageBook
from apps.deployments.models import Usage
from kos.errors import UserError
from kos.serving import upstream
from kos.serving.client import ScriptedClient
from tests.apps.deployments.conftest import wait_for

ASK = {"model": "far", "messages": [{"role": "user", "content": "Gout?"}]}


@pytest.fixture(autouse=True)
def empty():
    yield
    assert ANSWERS.num_taken == 0


def post(kos: str, token: str, **options) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{kos}/v1/chat/completions", json=ASK | options, headers=headers)


@pytest.mark.parametrize(
    ("setting", "status", "code"),
    [("MOST_ANSWERS_OWN", 429, "rate_limit_exceeded"), ("MOST_ANSWERS", 503, "overloaded")],
)
def test_one_answer_too_many_is_refused(kos, token, deployment, settings, setting, status, code):
    setattr(settings, setting, 1)
    with ANSWERS.taken(User.objects.get(username="clara").pk):
        reply = post(kos, token)
    assert (reply.status_code, reply.headers["retry-after"]) == (status, "15")
    assert reply.json()["error"]["code"] == code
    assert post(kos, token).status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_the_body_of_a_refused_request_is_not_read(token, settings):
    settings.MOST_ANSWERS = 1
    told = []

    async def read():
        raise AssertionError("the body was read")

    async def send(message):
        told.append(message)

    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": headers}
    with ANSWERS.taken(None):
        await Gateway(None)(scope, read, send)
    assert told[0]["status"] == 503


def test_a_stream_holds_its_seat_until_its_caller_leaves(client, deployment, engine):
    engine.words, engine.pause_seconds = ("word ",) * 1_000, 0.01
    stream = client.chat.completions.create(stream=True, **ASK)
    next(iter(stream))
    assert ANSWERS.num_taken == 1
    stream.close()
    wait_for(lambda: ANSWERS.num_taken == 0)


async def test_a_signed_in_person_is_refused_alike(deployment, clinician, settings, async_client):
    settings.MOST_ANSWERS_OWN = 1
    await async_client.aforce_login(clinician.user)
    path, kind = "/v1/chat/completions", "application/json"
    with ANSWERS.taken(clinician.user.pk):
        reply = await async_client.post(path, ASK, content_type=kind)
    assert (reply.status_code, reply["Retry-After"]) == (429, "15")
    reply = await async_client.post(path, ASK | {"stream": True}, content_type=kind)
    frames = aiter(reply)
    await anext(frames)
    assert ANSWERS.num_taken == 1
    await frames.aclose()


# --- What servers write without an end --------------------------------------------------------
def test_an_event_without_an_end_breaks_the_answer_off(
    kos, token, deployment, engine, monkeypatch
):
    monkeypatch.setattr(relay, "MOST_EVENT_BYTES", 10_000)
    engine.words = ("x" * 3_000_000,)
    assert "an event of more than 10,000 bytes" in post(kos, token, stream=True).text


def test_a_whole_answer_that_is_too_long_is_a_502(kos, token, deployment, engine, monkeypatch):
    defaults = {"most_bytes": 1_000}
    monkeypatch.setattr(upstream.Response.read_all, "__kwdefaults__", defaults)
    engine.words = ("x" * 3_000,)
    reply = post(kos, token)
    assert (reply.status_code, "more than 1,000 bytes" in reply.text) == (502, True)


@pytest.mark.django_db
async def test_a_server_that_does_not_heed_max_tokens_is_stopped(monkeypatch):
    monkeypatch.setattr(metering, "MOST_CHARS", 20)
    monkeypatch.setattr(metering, "BOOK", UsageBook())
    client = MeteredClient(ScriptedClient(["four" * 30]), make_deployment_unsaved())
    seen = []
    with pytest.raises(UserError, match="more than 20 characters"):
        async for delta in client.stream_raw("?", max_tokens=1, temperature=0):
            seen.append(delta.text)
    assert len("".join(seen)) <= 20


def make_deployment_unsaved():
    from apps.deployments.models import Deployment

    return Deployment(pk=1, name="far")


# --- What waits for the database --------------------------------------------------------------
def test_usage_waits_for_the_database_and_no_longer_than_it_may(monkeypatch, caplog):
    monkeypatch.setattr(metering, "MOST_ROWS", 3)
    book, is_away = UsageBook(), True

    def create(rows):
        if is_away:
            raise OperationalError("gone")
        kept.extend(rows)

    kept: list[Usage] = []
    monkeypatch.setattr(Usage.objects, "bulk_create", create)
    monkeypatch.setattr(metering.transaction, "atomic", _nothing)
    for number in range(5):
        book._rows.append(Meter(number).row())
        with pytest.raises(OperationalError):
            book.write()
    assert [row.deployment_id for row in book._rows] == [2, 3, 4]
    assert "1 records of usage are lost" in caplog.text
    is_away = False
    book.write()
    assert ([row.deployment_id for row in kept], book._rows) == ([2, 3, 4], [])


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


async def test_a_memo_keeps_so_many_answers_and_no_more(monkeypatch, db):
    monkeypatch.setattr(memo, "MOST", 5)
    found = Memo(str.upper, fresh_seconds=60, stale_seconds=60)
    monkeypatch.setattr(memo, "in_thread", _at_once)
    for number in range(20):
        await found.get(f"k{number}")
    assert [*found._kept] == [f"k{number}" for number in range(15, 20)]


async def _at_once(work, *arguments):
    await asyncio.sleep(0)
    return work(*arguments)
