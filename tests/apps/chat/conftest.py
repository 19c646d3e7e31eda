from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pytest

from apps.chat import services
from kos.chat.dialects import DIALECTS
from kos.harness.loop import Harness
from kos.messages import ToolCall
from kos.serving.client import Delta, ScriptedClient
from kos.tools.base import Found, Provenance, Record, Tool
from kos.tools.desk import Desk

ORIGIN = Provenance(
    "leaflets",
    "embedded",
    retrieved_at="2026-11-22T10:00:00+00:00",
    data_version="demonstration 1",
    licence="CC0",
    attribution="Kos demonstration leaflets",
)


# All different: the harness draws an answer again that repeats itself.
WORDS = " ".join(f"word{number}" for number in range(300))


class LookUp(Tool):
    """A tool of the tests alone: it always finds one leaflet."""

    kind: Literal["look_up"] = "look_up"

    def declare(self) -> Mapping[str, Any]:
        query = {"type": "string", "description": "what to find"}
        parameters = {"type": "object", "properties": {"query": query}, "required": ["query"]}
        return {
            "type": "function",
            "function": {"name": "look_up", "description": "Look up", "parameters": parameters},
        }

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        record = Record("Rest", "https://leaflet.example/rest", "Rest and drink.", ORIGIN)
        return Found((record,), "source: embedded leaflets", "embedded")


def calling(query: str = "gout") -> list[Delta]:
    """A turn that calls the tool."""
    call = ToolCall("call_0", "look_up", f'{{"query": "{query}"}}')
    return [Delta(text="I look. "), Delta(tool_calls=(call,), finish_reason="tool_calls")]


@pytest.fixture
def model(monkeypatch) -> Callable[..., ScriptedClient]:
    """``model("Rest.")``: every deployment answers from this script, and may call ``look_up``."""

    def script(*turns, **options) -> ScriptedClient:
        client = ScriptedClient(turns, **options)

        def harness_of(deployment: Any, **whatever: Any) -> Harness:
            return Harness(client, DIALECTS["server"](), tools=[LookUp()], name=deployment.name)

        monkeypatch.setattr(services, "harness_of", harness_of)
        return client

    return script
