"""Outside MCP servers as tools of ours, named ``mcp__{slug}__{tool}``.

What a server says of its tools is untrusted: descriptions are made harmless and capped, a
schema that our declarations cannot express is refused. What was approved is pinned by hash;
a tool that says something else later is not called.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, TextContent
from pydantic import ValidationError

from kos.chat.lint import lint
from kos.errors import UserError
from kos.harness.observations import harmless
from kos.mcp.transport import guarded_http
from kos.tools.base import Found, Provenance, Record
from kos.tools.desk import Desk

TIMEOUT_SECONDS = 20.0
MAX_NAME = 64
MAX_DESCRIPTION = 600
MAX_PROPERTY_DESCRIPTION = 200
MAX_TEXT_CHARS = 200_000
MAX_TOOLS = 64
MAX_PAGES = 8
FAILURES = (MCPError, ValidationError, httpx2.HTTPError, OSError)
T = TypeVar("T")

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,30}\Z")
_BAD_NAME = re.compile(r"[^A-Za-z0-9_-]")


class Server(Protocol):
    """An outside server."""

    @property
    def slug(self) -> str:
        """Its short name."""

    async def connect(self, stack: AsyncExitStack) -> Client:
        """A client that lives as long as ``stack``."""


@dataclass(frozen=True)
class HttpServer:
    """A server on the net; every connection goes through the guard of ``read_url``.

    ``headers`` may hold its key; ``allowed`` are the operator's own "host:port" that may be
    private.
    """

    slug: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed: frozenset[str] = frozenset()

    async def connect(self, stack: AsyncExitStack) -> Client:
        """A client over streamable HTTP."""
        http = await stack.enter_async_context(
            guarded_http(self.headers, timeout_seconds=TIMEOUT_SECONDS, allowed=self.allowed)
        )
        return Client(streamable_http_client(self.url, http_client=http))


@dataclass(frozen=True)
class StdioServer:
    """A program on this machine. Its command comes from the settings, never from a form."""

    slug: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def connect(self, stack: AsyncExitStack) -> Client:
        """A client over the program's standard input and output."""
        program, *arguments = self.command
        return Client(
            StdioServerParameters(
                command=program, args=arguments, env=dict(self.environment) or None
            )
        )


class Offered(NamedTuple):
    """A tool as its server describes it.

    ``declaration`` is what our model would read of it; ``problems`` say why it cannot be
    offered (empty: it can). ``digest`` is over what the server says, word for word.
    """

    name: str
    declaration: Mapping[str, Any]
    digest: str
    problems: tuple[str, ...]


async def offered_by(server: Server) -> tuple[Offered, ...]:
    """All tools of ``server``. UserError when it does not answer in 20 seconds."""
    return await _ask(server, lambda client: _list(server, client))


@dataclass(frozen=True)
class McpTool:
    """An approved tool of an outside server; ``offered`` is what was approved.

    ``on_change`` is told (slug, tool) when it no longer is.
    """

    server: Server
    offered: Offered
    on_change: Callable[[str, str], Awaitable[None]] | None = None
    # The server's own limit, and a little to say so.
    timeout_seconds: float = TIMEOUT_SECONDS + 1

    @property
    def name(self) -> str:
        """What the model calls it by."""
        return tool_name(self.server.slug, self.offered.name)

    def declare(self) -> Mapping[str, Any]:
        """Its declaration, harmless and capped."""
        return self.offered.declaration

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """Call it, if it is still what was approved; ``ChangedError`` if not."""
        if desk.is_offline:
            raise UserError(f"{self.name} is an outside tool, and this installation is off line.")
        result = await _ask(self.server, lambda client: self._call(client, dict(arguments)))
        text = "\n\n".join(part.text for part in result.content if isinstance(part, TextContent))
        if not text and result.structured_content is not None:
            text = json.dumps(result.structured_content, ensure_ascii=False, indent=1)
        if result.is_error:
            raise UserError(harmless(text[:500]) or f"{self.name} failed without a reason")
        return self._found(text[:MAX_TEXT_CHARS])

    async def _call(self, client: Client, arguments: dict[str, Any]) -> CallToolResult:
        for now in await _list(self.server, client):
            if now.name == self.offered.name and now.digest == self.offered.digest:
                return await client.call_tool(self.offered.name, arguments)
        if self.on_change is not None:
            await self.on_change(self.server.slug, self.offered.name)
        raise ChangedError(self.server.slug, self.offered.name)

    def _found(self, text: str) -> Found:
        slug = self.server.slug
        provenance = Provenance(
            provider=f"mcp:{slug}",
            mode="live",
            retrieved_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        title = f"{self.offered.name} of the MCP server {slug}"
        records = (Record(title, "", text, provenance),) if text.strip() else ()
        return Found(records, f"source: outside MCP server {slug}, not checked by Kos", "live")


class ChangedError(UserError):
    """The tool is no longer what was approved: somebody must look at it again."""

    def __init__(self, slug: str, tool: str) -> None:
        super().__init__(slug, tool)
        self.slug, self.tool = slug, tool

    def __str__(self) -> str:
        return (
            f"The tool {self.tool!r} of the MCP server {self.slug!r} has changed since it was "
            "approved. It stays off until an admin approves it again."
        )


def tool_name(slug: str, tool: str) -> str:
    """``mcp__{slug}__{tool}``, at most 64 of the letters that dialects allow."""
    return f"mcp__{slug}__{_BAD_NAME.sub('_', tool)}"[:MAX_NAME]


def check_slug(slug: str) -> str:
    """A usable short name, or UserError."""
    if not _SLUG.match(slug) or "__" in slug:
        raise UserError(
            f"{slug!r} cannot be a server's short name: use up to 31 small letters, digits and "
            "single hyphens."
        )
    return slug


def digest_of(description: str, schema: Mapping[str, Any]) -> str:
    """Over a tool's description and schema as its server sends them; 64 hex digits."""
    text = json.dumps([description, schema], sort_keys=True, ensure_ascii=False)
    # Half a character is no reason to fail: the declaration leaves it out, the digest counts it.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


async def _ask(server: Server, work: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, do ``work``, leave; whatever goes wrong becomes a ``UserError``."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), AsyncExitStack() as stack:
            client = await stack.enter_async_context(await server.connect(stack))
            return await work(client)
    except TimeoutError as error:
        raise UserError(
            f"The MCP server {server.slug!r} gave no answer in {TIMEOUT_SECONDS:g} seconds."
        ) from error
    except FAILURES as error:
        raise _failure(server, error) from error
    except ExceptionGroup as group:
        # The client's task groups wrap what happens inside them, our own errors too.
        inner = _innermost(group)
        if isinstance(inner, UserError):
            raise inner from None
        if not isinstance(inner, FAILURES):
            raise
        raise _failure(server, inner) from group


def _failure(server: Server, error: BaseException) -> UserError:
    told = " ".join(str(error).split())[:300] or type(error).__name__
    return UserError(f"The MCP server {server.slug!r} failed: {harmless(told)}")


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _list(server: Server, client: Client) -> tuple[Offered, ...]:
    found: list[Offered] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += [
            offered(server.slug, tool.name, tool.description or "", tool.input_schema)
            for tool in page.tools
        ]
        cursor = page.next_cursor
        if cursor is None:
            break
    return tuple(found[:MAX_TOOLS])


def offered(slug: str, name: str, description: str, schema: Mapping[str, Any]) -> Offered:
    """A tool of the server ``slug`` by what it says of it."""
    declaration = {
        "type": "function",
        "function": {
            "name": tool_name(slug, name),
            "description": _capped(description, MAX_DESCRIPTION),
            "parameters": _described(schema),
        },
    }
    problems = lint(declaration)
    digest = digest_of(description, schema)
    return Offered(name.encode(errors="replace").decode(), declaration, digest, tuple(problems))


def _described(schema: Any) -> Any:
    """The schema with every description harmless and short, and without mere decoration."""
    if isinstance(schema, list):
        return [_described(part) for part in schema]
    if not isinstance(schema, dict):
        return _kept(schema) if isinstance(schema, str) else schema
    kept = {}
    for key, value in schema.items():
        if key in ("$schema", "title", "examples") and not isinstance(value, dict):
            continue
        if key == "description" and isinstance(value, str):
            kept[key] = _capped(value, MAX_PROPERTY_DESCRIPTION)
        else:
            kept[_kept(key)] = _described(value)
    return kept


def _capped(text: str, max_chars: int) -> str:
    plain = _kept("\n".join(line.rstrip() for line in text.strip().splitlines()))
    return plain if len(plain) <= max_chars else plain[: max_chars - 1] + "…"


def _kept(text: str) -> str:
    """``text`` harmless, and as a database and a socket take it: no NUL, no half character."""
    return harmless(text.replace("\0", "\ufffd").encode(errors="replace").decode())


def pinned(tools: Sequence[Offered], digests: Mapping[str, str]) -> tuple[Offered, ...]:
    """Those of ``tools`` that are still what ``digests`` (by name) approved, and can be told
    to the model.
    """
    return tuple(
        tool for tool in tools if digests.get(tool.name) == tool.digest and not tool.problems
    )
