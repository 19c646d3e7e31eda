"""A machine without a network, and the corpus that is on it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kos.tools.corpus import Corpus


@pytest.fixture
def no_network(monkeypatch) -> None:
    """Every way out fails loudly."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("something asked for the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """The embedded corpus, built once for all tests of a session."""
    return Corpus.open(Path(os.environ["KOS_VAR"]) / "corpus")
