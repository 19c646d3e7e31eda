"""A running Kos on a port of this machine, and a client with a token of each role."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.accounts import services as accounts
from apps.accounts.models import User
from kos.client import Kos
from tests.factories import make_user
from tests.kos.serving import scripted


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Nobody's own address and token, and no colours."""
    for name in ("KOS_URL", "KOS_TOKEN", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path / "config"


@pytest.fixture
def ada(transactional_db) -> User:
    return make_user("ada")


@pytest.fixture
def url(transactional_db) -> Iterator[str]:
    """The address of the whole ASGI application under uvicorn."""
    from kosweb.asgi import application

    with scripted.serve(application, lifespan="on") as server:
        yield server.url


@pytest.fixture
def token(ada) -> str:
    return accounts.create_token(ada, "notebook").text


@pytest.fixture
def kos(url, token) -> Iterator[Kos]:
    with Kos(url, token, tries=3) as client:
        yield client
