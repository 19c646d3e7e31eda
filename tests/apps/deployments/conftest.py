"""A running Kos on a port of this machine, a scripted engine behind it, and an OpenAI client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import openai
import pytest

from apps.accounts import services as accounts
from apps.automation.rates import Buckets
from apps.deployments import comparing, gateway, limits, memo, metering
from apps.deployments.models import Deployment
from kos.config import Remote
from tests.factories import make_deployment, make_user
from tests.kos.serving import scripted


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No look-up, bucket or row of another test."""
    memo.forget_all()
    limits.BUCKETS = Buckets()
    metering.BOOK = comparing.BOOK = gateway.BOOK = metering.UsageBook()
    yield
    memo.forget_all()


@pytest.fixture
def engine() -> Iterator[scripted.Scripted]:
    with scripted.serve() as server:
        yield server


@pytest.fixture
def deployment(transactional_db, engine) -> Deployment:
    """The engine as a ready remote deployment called far."""
    return make_deployment(
        name="far",
        engine="remote",
        artifact=None,
        url=engine.url,
        model="script",
        asking=Remote().asking.model_dump(mode="json"),
    )


@pytest.fixture
def token(transactional_db) -> str:
    return accounts.create_token(make_user("clara", role="clinician"), "notebook").text


@pytest.fixture
def kos(transactional_db) -> Iterator[str]:
    """The address of the whole ASGI application under uvicorn."""
    from kosweb.asgi import application

    with scripted.serve(application, lifespan="on") as server:
        yield server.url


@pytest.fixture
def client(kos, token) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{kos}/v1", api_key=token, max_retries=0) as client:
        yield client


def wait_for(is_true: Callable[[], object], *, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)
