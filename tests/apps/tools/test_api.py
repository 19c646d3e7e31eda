from __future__ import annotations

import pytest

from apps.tools import services

SECRET = "nhs-secret-key-0042"


def test_the_tools_are_listed_with_their_sources(engineer):
    services.set_key("nhs", SECRET, by=None)
    answered = engineer.get("/api/tools/")
    tools = {tool["name"]: tool for tool in answered.json()}
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
