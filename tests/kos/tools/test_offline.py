"""With sockets disabled every tool answers, from the real corpus, and says where from."""

from __future__ import annotations

import pytest

from kos.tools.desk import Desk
from kos.tools.registry import pick_tools

ASKED = {
    "web_search": {"query": "gout treatment"},
    "search_pubmed": {"query": "atrial fibrillation guideline"},
    "search_icd": {"query": "heart attack", "version": "icd10"},
    "search_drug_label": {"drug": "Coumadin", "sections": ["boxed_warning"]},
    "search_triage_guideline": {"query": "sepsis"},
}


@pytest.fixture
def desk(corpus, no_network) -> Desk:
    return Desk(corpus=corpus, is_offline=True)


@pytest.mark.parametrize("name", list(ASKED))
async def test_a_tool_answers_from_what_is_here(desk, name):
    (tool,) = pick_tools((name,))
    found = await tool.call(ASKED[name], desk)
    assert found.records
    assert found.mode == "embedded"
    assert found.notice.startswith("source: embedded ")
    assert all(record.provenance.licence for record in found.records)


async def test_trials_are_honestly_empty(desk):
    (tool,) = pick_tools(("search_clinical_trials",))
    found = await tool.call({"condition": "gout"}, desk)
    assert found.records == ()
    assert "no registry imported" in found.notice


async def test_a_record_of_the_corpus_can_be_read(desk):
    (tool,) = pick_tools(("read_url",))
    found = await tool.call({"url": "kos://corpus/icd10cm/I21.9"}, desk)
    assert found.records[0].title == "I21.9 Acute myocardial infarction, unspecified"
