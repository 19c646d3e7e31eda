from __future__ import annotations

import pytest

from apps.accounts.models import AuditEntry, Scope
from apps.accounts.services import create_token
from apps.tools import services

SECRET = "nhs-secret-key-0042"


def test_the_tools_are_listed_with_their_sources(engineer):
    services.set_key("nhs", SECRET, by=None)
    answered = engineer.get("/api/tools/")
    tools = {tool["name"]: tool for tool in answered.json()["items"]}
    assert len(tools) == 7
    first = tools["search_icd"]["sources"][0]
    assert (first["name"], first["place"], first["state"]) == ("who_icd", 1, "off line")
    assert SECRET not in answered.content.decode()


@pytest.mark.parametrize("persona", ["stranger", "clinician"])
def test_the_tools_are_for_readers(persona, request):
    caller = request.getfixturevalue(persona)
    assert caller.get("/api/tools/").status_code in (401, 403)
    body = {"arguments": {"query": "gout"}}
    answered = caller.post("/api/tools/search_icd/call", body, "application/json")
    assert answered.status_code in (401, 403)


def test_a_tool_can_be_called(reviewer):
    body = {"arguments": {"drug": "Coumadin", "sections": ["boxed_warning"]}}
    answered = reviewer.post("/api/tools/search_drug_label/call", body, "application/json").json()
    assert answered["mode"] == "embedded"
    assert answered["notice"].startswith("source: embedded drug labels")
    assert answered["records"][0]["title"] == "Warfarin (demonstration data, not FDA text)"
    assert answered["records"][0]["provenance"]["licence"] == "Apache-2.0"
    assert answered["records"][0]["title"] in answered["observation"]


def test_wrong_arguments_are_told_as_the_model_would_hear_it(reviewer):
    body = {"arguments": {"drug": "x", "dose": 5}}
    answered = reviewer.post("/api/tools/search_drug_label/call", body, "application/json").json()
    assert answered["is_error"]
    assert answered["observation"].startswith("Error: ")


def test_an_unknown_tool_is_not_found(reviewer):
    answered = reviewer.post("/api/tools/dragons/call", {"arguments": {}}, "application/json")
    assert answered.status_code == 404


def test_a_key_is_kept_by_an_admin_and_never_given_back(admin, engineer):
    body = {"name": "nhs", "key": SECRET}
    assert engineer.put("/api/tools/keys", body, "application/json").status_code == 403
    answer = admin.put("/api/tools/keys", body, "application/json")
    assert (answer.status_code, answer.json()["last_four"]) == (200, "0042")
    texts = answer.content + admin.get("/api/tools/keys").content
    assert SECRET.encode() not in texts
    assert services.keys_of(None)["nhs"] == SECRET
    assert admin.delete(f"/api/tools/keys/{answer.json()['id']}").status_code == 204
    assert "nhs" not in services.keys_of(None)


def test_a_key_needs_a_token_for_admins(admin):
    text = create_token(admin.user, "tools", scopes=[Scope.TOOLS]).text
    headers = {"Authorization": f"Bearer {text}"}
    body = {"name": "nhs", "key": SECRET}
    assert (
        admin.put("/api/tools/keys", body, "application/json", headers=headers).status_code == 403
    )


def test_an_outside_server_is_added_by_address_withdrawn_and_removed(admin):
    body = {"slug": "records", "url": "https://records.example.org/mcp"}
    made = admin.post("/api/tools/mcp", body, "application/json").json()
    place = f"/api/tools/mcp/{made['id']}"
    assert (made["transport"], made["is_enabled"], made["offers"]) == ("http", False, [])
    assert (
        admin.put(f"{place}/approved", {"marks": ["0 x"]}, "application/json").status_code == 409
    )
    assert admin.delete(f"{place}/approved").json()["is_enabled"] is False
    assert admin.delete(place).status_code == 204
    verbs = [*AuditEntry.objects.order_by("pk").values_list("verb", flat=True)]
    assert verbs == ["mcp_server_added", "mcp_tools_withdrawn", "mcp_server_removed"]


def test_an_address_inside_is_refused(admin):
    body = {"slug": "records", "url": "http://127.0.0.1/mcp"}
    assert admin.post("/api/tools/mcp", body, "application/json").status_code == 409


def test_the_records_on_this_machine_are_listed(reviewer):
    shelves = reviewer.get("/api/tools/corpora").json()
    assert all(shelf["mode"] in ("embedded", "imported") for shelf in shelves)
