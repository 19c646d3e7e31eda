"""Outside MCP servers: what they offer, what an admin approved, and the tools that come of it.

``kos.mcp`` takes seconds to load, so it is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.tools import services
from apps.tools.models import McpServer
from kos.errors import UserError
from kos.tools.net.guard import check_url

if TYPE_CHECKING:
    from kos.mcp.client import McpTool, Offered, Server


PREFIX = "mcp__"


class Offer(NamedTuple):
    """A tool of an outside server, as its page shows it.

    ``mark`` is what approving it posts: name and digest, so that nobody approves what they
    did not see.
    """

    name: str
    full_name: str
    description: str
    declaration: Mapping[str, Any]
    problems: Sequence[str]
    mark: str
    is_approved: bool
    is_changed: bool


class Listed(NamedTuple):
    """A server with its offers."""

    row: McpServer
    offers: Sequence[Offer]


def listed() -> list[Listed]:
    """All servers there are."""
    return [listing_of(row) for row in McpServer.objects.select_related("approved_by")]


def listing_of(row: McpServer) -> Listed:
    """A server with what it offered when it was last looked at."""
    return Listed(row, _offers(row))


def unused_commands() -> list[str]:
    """Commands in the settings that no server was made of yet."""
    used = set(McpServer.objects.exclude(command="").values_list("command", flat=True))
    return [name for name in settings.MCP_COMMANDS if name not in used]


def add(slug: str, *, url: str = "", command: str = "", key: str = "") -> McpServer:
    """Add a server; nothing of it is offered yet.

    ``command`` names one of the settings' commands. UserError for a name that is taken, an
    address that the guard would refuse, or a command that is not in the settings.
    """
    from kos.mcp.client import check_slug

    check_slug(slug)
    if bool(url) == bool(command):
        raise UserError("Give either an address or a command of the settings.")
    if command and command not in settings.MCP_COMMANDS:
        known = ", ".join(settings.MCP_COMMANDS) or "none"
        raise UserError(
            f"There is no command {command!r} in the settings; there are: {known}. Commands are "
            "set with KOS_MCP_COMMANDS where Kos is installed."
        )
    if url and not _is_own(url):
        check_url(url)
    if McpServer.objects.filter(slug=slug).exists():
        raise UserError(f"There is a server called {slug!r} already. Choose another name.")
    transport = McpServer.Transport.HTTP if url else McpServer.Transport.STDIO
    row = McpServer.objects.create(
        slug=slug, transport=transport, url=url, command=command, key=key
    )
    audit.note(audit.actor(), Verb.MCP_SERVER_ADDED, row, command=command)
    return row


def look(row: McpServer) -> int:
    """Ask the server what it offers now, and keep that; returns how many tools."""
    from kos.mcp.client import offered_by

    offers = async_to_sync(offered_by)(_server_of(row))
    row.declarations = {
        one.name: {
            "declaration": dict(one.declaration),
            "digest": one.digest,
            "problems": list(one.problems),
        }
        for one in offers
    }
    row.save(update_fields=["declarations"])
    return len(offers)


@transaction.atomic
def approve(row: McpServer, marks: Sequence[str], *, by: User) -> list[str]:
    """Let models call the tools with these marks, and no others; returns their names.

    A tool that was looked up anew since the page was drawn is left out.
    """
    row = McpServer.objects.select_for_update().get(pk=row.pk)
    wanted = {one.mark: one for one in _offers(row) if not one.problems}
    chosen = [wanted[mark] for mark in marks if mark in wanted]
    if len(chosen) < len(marks):
        raise UserError("A tool has changed since you opened the page. Look at it again.")
    names = [one.name for one in chosen]
    row.schema_hashes = {name: row.declarations[name]["digest"] for name in names}
    row.allowed_tools = names
    row.is_enabled = bool(names)
    row.approved_by, row.approved_at = by, timezone.now()
    row.save(
        update_fields=[
            "schema_hashes",
            "allowed_tools",
            "is_enabled",
            "approved_by",
            "approved_at",
        ]
    )
    audit.note(by, Verb.MCP_TOOLS_APPROVED, row, tools=names)
    return names


def withdraw(row: McpServer) -> None:
    """Let models call nothing of this server any more."""
    row.is_enabled, row.schema_hashes, row.allowed_tools = False, {}, []
    row.save(update_fields=["is_enabled", "schema_hashes", "allowed_tools"])
    audit.note(audit.actor(), Verb.MCP_TOOLS_WITHDRAWN, row)


def remove(row: McpServer) -> None:
    """Forget a server."""
    audit.note(audit.actor(), Verb.MCP_SERVER_REMOVED, row)
    row.delete()


@transaction.atomic
def mark_changed(slug: str, tool: str) -> None:
    """A tool is no longer what was approved: it stays off until somebody approves it anew."""
    row = McpServer.objects.select_for_update().filter(slug=slug).first()
    if row is None or tool not in row.schema_hashes:
        return
    del row.schema_hashes[tool]
    row.save(update_fields=["schema_hashes"])


def tools_of() -> tuple[McpTool, ...]:
    """The approved tools of all servers that are on."""
    rows = [row for row in McpServer.objects.filter(is_enabled=True) if row.schema_hashes]
    if not rows:
        return ()
    from kos.mcp.client import McpTool, pinned

    return tuple(
        McpTool(_server_of(row), offered, on_change=database_sync_to_async(mark_changed))
        for row in rows
        if row.url or row.command in settings.MCP_COMMANDS
        for offered in pinned(_offered(row), row.schema_hashes)
        if offered.name in row.allowed_tools
    )


def find(name: str) -> McpTool | None:
    """The approved tool that models call ``name``; None when there is none."""
    return next((tool for tool in tools_of() if tool.name == name), None)


def pick(name: str) -> McpTool:
    """The approved tool that models call ``name``; UserError when there is none."""
    found = find(name)
    if found is None:
        known = ", ".join(tool.name for tool in tools_of()) or "none"
        raise UserError(
            f"There is no approved MCP tool {name!r}; there are: {known}. An admin approves them "
            "under Tools, MCP servers."
        )
    return found


def _server_of(row: McpServer) -> Server:
    from kos.mcp.client import HttpServer, StdioServer

    if row.transport == McpServer.Transport.STDIO:
        if row.command not in settings.MCP_COMMANDS:
            raise UserError(f"The command {row.command!r} is no longer in the settings.")
        return StdioServer(row.slug, tuple(settings.MCP_COMMANDS[row.command]))
    headers = {}
    if row.key:
        keys = services.keys_of(None)
        if row.key not in keys:
            raise UserError(f"There is no key called {row.key!r}. Add it under Keys.")
        headers["Authorization"] = f"Bearer {keys[row.key]}"
    return HttpServer(row.slug, row.url, headers, settings.MCP_HOSTS)


def _offered(row: McpServer) -> tuple[Offered, ...]:
    from kos.mcp.client import Offered

    return tuple(
        Offered(name, kept["declaration"], kept["digest"], tuple(kept["problems"]))
        for name, kept in row.declarations.items()
    )


def _offers(row: McpServer) -> list[Offer]:
    return [
        Offer(
            name=name,
            full_name=kept["declaration"]["function"]["name"],
            description=kept["declaration"]["function"].get("description", ""),
            declaration=kept["declaration"],
            problems=kept["problems"],
            mark=f"{kept['digest']} {name}",
            is_approved=row.is_enabled and row.schema_hashes.get(name) == kept["digest"],
            is_changed=name in row.allowed_tools and row.schema_hashes.get(name) != kept["digest"],
        )
        for name, kept in sorted(row.declarations.items())
    ]


def _is_own(url: str) -> bool:
    return any(
        url.startswith((f"http://{host}/", f"https://{host}/")) for host in settings.MCP_HOSTS
    )
