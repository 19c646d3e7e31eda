from __future__ import annotations

from collections.abc import Callable

import pytest

from apps.deployments import services as deployments
from kos.serving.client import ScriptedClient


@pytest.fixture
def model(monkeypatch) -> Callable[..., ScriptedClient]:
    """``model("Rest.")``: every deployment answers from this script."""

    def script(*turns, **options) -> ScriptedClient:
        client = ScriptedClient(turns, **options)
        monkeypatch.setattr(deployments, "client_for", lambda deployment: client)
        return client

    return script
