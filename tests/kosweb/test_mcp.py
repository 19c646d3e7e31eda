from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from psycopg.conninfo import make_conninfo

from apps.accounts.models import Scope
from apps.accounts.services import create_token
from apps.tools.services import open_corpus
from kosweb import asgi
from kosweb import mcp as door
from tests.factories import make_user
from tests.kos.mcp.serving import served

ROOT = Path(__file__).parents[2]
ASKED = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture
def token(transactional_db, settings) -> str:
    settings.CORPUS = Path(os.environ["KOS_VAR"]) / "corpus"
    settings.OFFLINE = True
    open_corpus().prepare()  # the first time takes longer than a client waits
    return create_token(make_user(), "desk", scopes=[Scope.TOOLS]).text


@asynccontextmanager
async def console() -> AsyncIterator[str]:
    async with served(asgi.application) as url:
        try:
            yield f"{url}/mcp"
        finally:
            await asgi.mcp.close()


@asynccontextmanager
async def client_of(url: str, token: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


async def test_a_real_client_uses_the_tools(token):
    async with console() as url, client_of(url, token) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool("search_icd", {"query": "gout", "version": "icd10"})
    assert len(names) == 7
    assert "M10" in result.content[0].text
    assert result.structured_content["mode"] == "embedded"


async def test_what_was_found_can_be_read_again(token):
    async with console() as url, client_of(url, token) as client:
        await client.call_tool("search_icd", {"query": "gout", "version": "icd10"})
        result = await client.call_tool("read_url", {"url": "kos://doc/S1"})
    assert not result.is_error
    assert "M10" in result.content[0].text


@pytest.mark.parametrize("scope", [None, Scope.MODELS])
async def test_without_a_token_for_tools_nobody_calls(token, scope):
    if scope is None:
        headers = {}
    else:
        made = await sync_to_async(create_token)(
            await sync_to_async(make_user)(), "chat", scopes=[scope]
        )
        headers = {"Authorization": f"Bearer {made.text}"}
    async with console() as url, httpx.AsyncClient(headers=headers) as http:
        reply = await http.post(url, json=ASKED)
    assert (reply.status_code, reply.headers["www-authenticate"]) == (401, 'Bearer realm="kos"')


async def test_too_many_calls_are_told_to_wait(token, monkeypatch):
    monkeypatch.setattr(door, "CALLS_PER_MINUTE", 1)
    headers = {"Authorization": f"Bearer {token}"}
    async with console() as url, httpx.AsyncClient(headers=headers, timeout=60) as http:
        await http.post(url, json=ASKED)
        reply = await http.post(url, json=ASKED)
    assert reply.status_code == 429
    assert int(reply.headers["retry-after"]) > 0


async def test_a_page_elsewhere_cannot_use_its_reader_s_access(token):
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://evil.example"}
    async with console() as url, httpx.AsyncClient(headers=headers, timeout=60) as http:
        assert (await http.post(url, json=ASKED)).status_code == 403


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [("127.0.0.1:8000", True), ("testserver", True), ("evil.example", False), ("", False)],
)
def test_hosts_are_django_s_own(host, is_allowed):
    assert door.is_allowed_host(host) == is_allowed


@pytest.mark.slow
async def test_a_real_client_uses_the_tools_over_stdio(token):
    own = connection.settings_dict["NAME"]
    environment = {
        "KOS_VAR": os.environ["KOS_VAR"],
        "DATABASE_URL": make_conninfo(os.environ["DATABASE_URL"], dbname=own),
        "KOS_OFFLINE": "1",
    }
    command = StdioServerParameters(
        command=sys.executable, args=["manage.py", "mcp_stdio"], cwd=ROOT, env=environment
    )
    async with Client(command) as client:
        result = await client.call_tool("search_icd", {"query": "gout", "version": "icd10"})
    assert "M10" in result.content[0].text
