"""The tools as the model sees them: declared word for word, strict, and at work off line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kos.errors import UserError
from kos.tools.desk import Desk
from kos.tools.registry import all_providers, all_tools, pick_tools
from tests.kos.tools.web import PAYLOADS, Shelf, make_record

DECLARED = {
    one["function"]["name"]: one for one in json.loads((PAYLOADS / "seven_tools.json").read_text())
}
ASKED = {
    "web_search": {"query": "gout"},
    "search_pubmed": {"query": "gout"},
    "search_clinical_trials": {"condition": "gout"},
    "read_url": {"url": "https://example.org/gout"},
    "search_icd": {"query": "gout"},
    "search_drug_label": {"drug": "colchicine"},
    "search_triage_guideline": {"query": "gout"},
}


def tool(name: str):
    return pick_tools((name,))[0]


@pytest.mark.parametrize("name", [tool.name for tool in all_tools()])
def test_each_tool_is_declared_word_for_word(name):
    assert json.dumps(tool(name).declare()) == json.dumps(DECLARED[name])


def test_every_source_has_a_tool_and_what_the_chain_needs():
    names = {tool.name for tool in all_tools()}
    for provider in all_providers():
        assert provider.tool in names
        assert provider.title
        assert provider.version
        assert provider.mode in ("live", "embedded")


def test_the_tools_load_without_torch_and_without_the_web():
    code = (
        "import sys; from kos.tools.registry import all_tools; all_tools();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'django', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_tool_is_answered_with_the_names():
    with pytest.raises(UserError, match=r"no tool 'bing'\. There are: read_url"):
        pick_tools(("bing",))


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        (
            "search_clinical_trials",
            {"condition": "gout", "status": "open"},
            r"\$\.status.*recruiting",
        ),
        ("search_clinical_trials", {}, "condition"),
        ("search_pubmed", {"query": "gout", "max_results": 50}, r"\$\.max_results.*10"),
        ("search_pubmed", {"query": "gout", "max_results": "5"}, r"\$\.max_results.*integer"),
        ("web_search", {"query": "g"}, r"\$\.query.*2"),
        ("web_search", {"query": "gout", "limit": 3}, "limit.*max_results"),
        ("read_url", {"url": 7}, r"\$\.url.*string"),
    ],
)
async def test_wrong_arguments_are_answered_with_their_place_and_what_would_do(
    name, arguments, words
):
    with pytest.raises(UserError, match=words):
        await tool(name).call(arguments, Desk(is_offline=True))


@pytest.mark.parametrize(
    "name", ["web_search", "search_pubmed", "search_clinical_trials", "read_url"]
)
async def test_each_tool_answers_without_a_network(name, no_network):
    records = {kind: [make_record("Gout")] for kind in ("guideline", "pubmed", "trial")}
    found = await tool(name).call(ASKED[name], Desk(is_offline=True, corpus=Shelf(records)))
    assert found.records[0].title == "Gout"
    assert found.notice.startswith("source: embedded")


@pytest.mark.parametrize("name", ["web_search", "search_pubmed", "search_clinical_trials"])
async def test_each_tool_answers_even_with_nothing_on_the_machine(name, no_network):
    found = await tool(name).call(ASKED[name], Desk(is_offline=True))
    assert (found.records, found.mode) == ((), "embedded")
    assert found.notice.startswith("source: none; offline: ")
