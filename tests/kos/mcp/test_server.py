from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from kos.mcp.server import HttpApp, Seat, server_of
from kos.tools.desk import Desk
from tests.kos.harness.stage import Echo
from tests.kos.mcp.serving import served

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def in_process(*tools: Any):
    seat = Seat(Desk())

    async def seat_of(context: Any) -> Seat:
        return seat

    async with Client(server_of(tools or (Echo(),), seat_of)) as client:
        yield client


async def test_tools_are_listed_with_their_own_schemas():
    async with in_process() as client:
        (tool,) = (await client.list_tools()).tools
    assert tool.name == "echo"
    assert tool.input_schema == Echo().declare()["function"]["parameters"]
    assert (tool.annotations.read_only_hint, tool.annotations.open_world_hint) == (True, True)


async def test_a_result_is_what_the_model_would_read_and_the_records():
    async with in_process() as client:
        result = await client.call_tool("echo", {"query": "gout"})
    assert result.content[0].text.startswith("source: table\n\n[S1] source=table mode=embedded")
    (record,) = result.structured_content["records"]
    assert (record["title"], record["provenance"]["data_version"]) == ("gout", "2026")
    assert (result.structured_content["mode"], result.is_error) == ("embedded", False)


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("nothing", {}, "Error: unknown_function: unknown function 'nothing'. Valid names: echo."),
        ("echo", {"query": "a", "max_results": 50}, "Error: schema_invalid: $.max_results: 50"),
        ("echo", {"query": "fail"}, "Error: tool_failed: the source is down."),
    ],
)
async def test_a_wrong_call_is_told_as_the_model_is_told(name, arguments, sentence):
    async with in_process() as client:
        result = await client.call_tool(name, arguments)
    assert result.is_error
    assert result.content[0].text.startswith(sentence)


async def test_sources_keep_their_numbers_between_calls():
    echo = Echo()
    async with in_process(echo) as client:
        await client.call_tool("echo", {"query": "a"})
        result = await client.call_tool("echo", {"query": "b"})
    assert "[S2] source=table" in result.content[0].text
    assert [*echo.seen[1].sources] == ["S1", "S2"]


def seated(app: HttpApp):
    seat = Seat(Desk())

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "kos.seat": seat}, receive, send)

    return mounted


@asynccontextmanager
async def over_http():
    app = HttpApp([Echo()], is_allowed_host=lambda host: "127.0.0.1" in host, version="1")
    async with served(seated(app)) as url:
        try:
            yield url
        finally:
            await app.stop()


async def test_a_real_client_calls_over_http():
    async with over_http() as url, Client(f"{url}/mcp") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["echo"]
        result = await client.call_tool("echo", {"query": "gout"})
    assert result.structured_content["records"][0]["text"] == "gout"


async def test_an_older_client_is_served_too():
    asked = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "old", "version": "1"},
        },
    }
    headers = {"Accept": "application/json, text/event-stream"}
    async with over_http() as url, httpx.AsyncClient() as http:
        reply = await http.post(f"{url}/mcp", json=asked, headers=headers)
    assert reply.json()["result"]["serverInfo"]["name"] == "kos"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)],
)
async def test_foreign_hosts_and_origins_are_refused(headers, status):
    async with over_http() as url, httpx2.AsyncClient(headers=headers) as http:
        assert (await http.post(f"{url}/mcp", json={})).status_code == status


async def test_a_body_that_is_too_long_is_refused():
    async with over_http() as url, httpx2.AsyncClient() as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        assert transport is not None
        reply = await http.post(f"{url}/mcp", content=b"x" * 300_000)
    assert reply.status_code == 413


async def test_a_real_client_calls_over_stdio():
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "tests.kos.mcp.programs", "ours"], cwd=ROOT
    )
    async with Client(command) as client:
        result = await client.call_tool("echo", {"query": "gout"})
    assert result.content[0].text.endswith("gout\nURL: https://example.org/gout\ngout")
