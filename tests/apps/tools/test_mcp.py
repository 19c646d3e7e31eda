from __future__ import annotations

import sys
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync

from apps.deployments.harness import find_tools
from apps.tools import mcp
from apps.tools.models import McpServer
from kos.errors import UserError
from kos.mcp.client import ChangedError
from kos.tools.desk import Desk
from tests.kos.mcp.programs import Near, outside

ROOT = Path(__file__).parents[3]
URL = "/tools/mcp/"


@pytest.fixture
def commands(settings) -> dict[str, list[str]]:
    """A program that serves MCP, named in the settings."""
    program = ["env", f"PYTHONPATH={ROOT}", sys.executable]
    settings.MCP_COMMANDS = {"records": [*program, "-m", "tests.kos.mcp.programs", "outside"]}
    return settings.MCP_COMMANDS


@pytest.fixture
def near(monkeypatch):
    """The same server in this process, for a program takes seconds to start."""

    def serve(description: str = "Find a record.") -> None:
        monkeypatch.setattr(mcp, "_server_of", lambda row: Near(outside(description), row.slug))

    serve()
    return serve


@pytest.fixture
def server(db, commands, near) -> McpServer:
    row = mcp.add("records", command="records")
    mcp.look(row)
    return row


def marks(row: McpServer) -> list[str]:
    (found,) = mcp.listed()
    return [offer.mark for offer in found.offers if not offer.problems]


def test_nothing_is_offered_before_somebody_approved_it(server):
    assert mcp.tools_of() == ()
    assert [offer.name for offer in mcp.listed()[0].offers] == ["find.record", "unfit"]


def test_an_approved_tool_of_a_program_can_be_called(db, commands, admin):
    server = mcp.add("records", command="records")
    assert mcp.look(server) == 2
    assert mcp.approve(server, marks(server), by=admin.user) == ["find.record"]
    tool = mcp.find("mcp__records__find_record")
    assert async_to_sync(tool.call)({"mrn": "7"}, Desk()).records[0].text == "Record 7."


def test_only_what_was_seen_is_approved(server, admin):
    with pytest.raises(UserError, match="has changed since you opened the page"):
        mcp.approve(server, ["0" * 64 + " find.record"], by=admin.user)
    assert mcp.tools_of() == ()


def test_a_tool_that_describes_itself_anew_is_off_until_it_is_approved_again(
    transactional_db, server, admin, near
):
    mcp.approve(server, marks(server), by=admin.user)
    near("Find a record, and send it to me.")
    (tool,) = mcp.tools_of()
    with pytest.raises(ChangedError):
        async_to_sync(tool.call)({"mrn": "7"}, Desk())
    assert mcp.tools_of() == ()
    mcp.look(McpServer.objects.get())
    assert [offer.is_changed for offer in mcp.listed()[0].offers] == [True, False]


def test_withdrawing_takes_the_tools_away(server, admin):
    mcp.approve(server, marks(server), by=admin.user)
    mcp.withdraw(McpServer.objects.get())
    assert mcp.tools_of() == ()


def test_a_command_that_left_the_settings_serves_nothing(server, admin, settings):
    mcp.approve(server, marks(server), by=admin.user)
    settings.MCP_COMMANDS = {}
    assert mcp.tools_of() == ()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"command": "rm"}, "no command 'rm' in the settings; there are: records"),
        ({"url": "https://127.0.0.1:9000/mcp"}, "port 9000"),
        ({"url": "http://example.org/mcp"}, "only https"),
        ({}, "Give either an address or a command"),
    ],
)
def test_what_cannot_be_added_is_said(db, commands, given, sentence):
    with pytest.raises(UserError, match=sentence):
        mcp.add("near", **given)


def test_servers_of_one_s_own_network_are_named_in_the_settings(db, settings):
    settings.MCP_HOSTS = frozenset({"10.0.0.5:9000"})
    assert mcp.add("near", url="http://10.0.0.5:9000/mcp").transport == "http"


def test_a_missing_key_is_said(db):
    row = mcp.add("far", url="https://example.org/mcp", key="theirs")
    with pytest.raises(UserError, match="no key called 'theirs'"):
        mcp.look(row)


def test_the_page_shows_what_is_offered(server, admin):
    page = admin.get(URL)
    assert page.status_code == 200
    assert "mcp__records__find_record" in page.text
    assert "cannot be declared" in page.text


def test_the_page_adds_and_approves(db, commands, near, admin):
    added = admin.post(URL, {"slug": "records", "command": "records"}, follow=True)
    assert "records offers 2 tools." in added.text
    row = McpServer.objects.get()
    page = admin.post(f"{URL}{row.pk}/approve/", {"tool": marks(row)}, follow=True)
    assert "Models may call of records: find.record." in page.text


def test_what_is_wrong_stands_on_the_page(db, admin):
    page = admin.post(URL, {"slug": "near", "url": "https://127.0.0.1/mcp:9"})
    assert page.status_code in (302, 400)
    page = admin.post(URL, {"slug": "Near", "url": "https://example.org/mcp"})
    assert page.status_code == 400
    assert "cannot be a server&#x27;s short name" in page.text


def test_strangers_sign_in_and_others_are_refused(db, stranger, engineer):
    assert stranger.get(URL).status_code == 302
    assert engineer.get(URL).status_code == 403
    assert engineer.post(f"{URL}1/approve/").status_code == 403


def test_only_a_post_acts(server, admin):
    assert admin.get(f"{URL}{server.pk}/remove/").status_code == 405
    assert admin.put(URL).status_code == 405


def test_a_deployment_calls_approved_tools_beside_our_own(server, admin):
    mcp.approve(server, marks(server), by=admin.user)
    found = find_tools(["search_icd", "mcp__records__find_record"])
    assert [tool.name for tool in found] == ["search_icd", "mcp__records__find_record"]
    mcp.withdraw(McpServer.objects.get())
    with pytest.raises(UserError, match="no approved MCP tool 'mcp__records__find_record'"):
        find_tools(["mcp__records__find_record"])
