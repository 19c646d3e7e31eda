"""MedlinePlus and NHS on what they really answer."""

from __future__ import annotations

import httpx
import pytest

from kos.tools.net.failures import UnavailableError
from kos.tools.providers import medlineplus, nhs
from kos.tools.registry import pick_tools
from tests.kos.tools.web import Web, desk_on, payload

GOUT = {"query": "demo gout"}
KEYS = {"nhs": "nhs-key-1"}


async def test_medlineplus_topics_come_without_their_markup():
    web = Web([payload("medlineplus_wsearch.xml")])
    first, second = await medlineplus.MedlinePlus().search(GOUT, desk_on(web))
    assert (first.title, first.url) == ("Demo Gout", "https://medlineplus.gov/demogout.html")
    assert first.text == (
        "Also called: Demo gouty arthritis\n\n[synthetic] Gout is a form of arthritis.\n\n"
        "## When to get help\n- Fever with a hot joint"
    )
    assert second.title == "Demo Arthritis"
    assert first.provenance.attribution.startswith("MedlinePlus.gov")


async def test_a_misspelled_query_is_asked_again_as_it_suggests():
    web = Web([payload("medlineplus_wsearch_spelling.xml"), payload("medlineplus_wsearch.xml")])
    assert len(await medlineplus.MedlinePlus().search({"query": "diabets"}, desk_on(web))) == 2
    assert [request.url.params["term"] for request in web.asked] == ["diabets", "diabetes"]


async def test_a_code_goes_through_connect():
    web = Web([payload("medlineplus_connect.json")])
    (hit,) = await medlineplus.MedlinePlus().search({"query": "M10.9"}, desk_on(web))
    assert (hit.title, hit.url) == ("Demo Gout", "https://medlineplus.gov/demogout.html")
    assert web.asked[0].url.params["mainSearchCriteria.v.c"] == "M10.9"
    assert web.asked[0].url.params["mainSearchCriteria.v.cs"] == "2.16.840.1.113883.6.90"


async def test_a_code_that_connect_does_not_know_is_searched_as_words():
    web = Web([payload("medlineplus_connect_empty.json"), payload("medlineplus_wsearch.xml")])
    assert len(await medlineplus.MedlinePlus().search({"query": "M10.9"}, desk_on(web))) == 2


async def test_xml_with_entities_of_its_own_is_refused():
    web = Web([httpx.Response(200, text='<!DOCTYPE a [<!ENTITY b "c">]><nlmSearchResult/>')])
    with pytest.raises(UnavailableError, match="broken XML"):
        await medlineplus.MedlinePlus().search(GOUT, desk_on(web))


def nhs_web() -> Web:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/nhs-website-content/")
        if path == "conditions/":
            is_first = request.url.params["page"] == "1" and request.url.params["category"] == "D"
            return payload("nhs_conditions_list.json" if is_first else "nhs_404.json")
        return (
            payload("nhs_condition.json")
            if path == "conditions/demo-gout/"
            else payload("nhs_404.json", 404)
        )

    return Web(answer)


async def test_nhs_pages_come_with_what_is_urgent_first():
    web = nhs_web()
    (hit,) = await nhs.Nhs().search(GOUT, desk_on(web, keys=KEYS))
    assert hit.url == "https://www.nhs.uk/conditions/demo-gout/"
    assert list(hit.sections) == ["Ask for an urgent GP appointment if:", "Overview"]
    assert "high temperature" in hit.text
    assert "Open Government Licence" in hit.provenance.attribution
    assert web.asked[0].headers["apikey"] == "nhs-key-1"


async def test_the_list_of_a_letter_is_asked_for_once():
    web, provider = nhs_web(), nhs.Nhs()
    desk = desk_on(web, keys=KEYS)
    await provider.search(GOUT, desk)
    number = sum(request.url.path.endswith("/conditions/") for request in web.asked)
    await provider.search(GOUT, desk)
    assert sum(request.url.path.endswith("/conditions/") for request in web.asked) == number


async def test_a_name_that_is_not_in_the_list_has_no_page():
    assert await nhs.Nhs().search({"query": "dragon pox"}, desk_on(nhs_web(), keys=KEYS)) == ()


async def test_a_key_that_nhs_refuses_is_not_the_sources_failure():
    web = Web(lambda request: payload("nhs_401.json", 401))
    with pytest.raises(UnavailableError) as caught:
        await nhs.Nhs().search(GOUT, desk_on(web, keys=KEYS))
    assert not caught.value.is_failure
    assert "nhs-key-1" not in str(caught.value)


def test_a_page_elsewhere_is_asked_for_at_our_own_base():
    assert (
        nhs._path("https://evil.example/nhs-website-content/conditions/../x/") == "conditions/x/"
    )


async def test_off_line_the_cards_answer(corpus, no_network):
    (tool,) = pick_tools(("search_triage_guideline",))
    desk = desk_on(Web([]), corpus=corpus, is_offline=True)
    found = await tool.call({"query": "chest pain"}, desk)
    assert found.mode == "embedded"
    assert "offline: no live source was asked" in found.notice
    assert found.records[0].title == "Chest pain: red flags (Kos sample)"
