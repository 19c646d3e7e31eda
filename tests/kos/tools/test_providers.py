"""Each source on what it really answers: hits, nothing, errors, and errors inside HTTP 200."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import httpx
import pytest

from kos.errors import UserError
from kos.tools.desk import Desk
from kos.tools.net.failures import RefusedError, UnavailableError
from kos.tools.providers import brave, ctgov, exa, pubmed, searxng, tavily
from kos.tools.providers.base import plain
from tests.kos.tools.web import KEYS, PAYLOADS, Clock, Web, desk_on, payload

GOUT = {"query": "demo gout guideline", "max_results": 5}
GUIDELINE = "https://example.org/guideline"
STUDY = {"condition": "example disease", "status": "any", "max_results": 5}
ARTICLES = {"query": "demolol heart failure", "max_results": 2, "publication_type": "any"}


async def search(provider, arguments, *answers, clock: Clock | None = None, **fields):
    web = Web(answers[0] if callable(answers[0]) else list(answers))
    desk = desk_on(web, clock, **fields)
    return await provider.search(arguments, desk), web


def body_of(request: httpx.Request) -> dict:
    return json.loads(request.content)


def query_of(request: httpx.Request) -> dict[str, str]:
    return dict(request.url.params)


async def test_brave_brings_its_snippets_without_their_markup():
    (hit,), web = await search(brave.Brave(), GOUT, payload("brave_web.json"))
    assert (hit.title, hit.url) == ("Demo Gout Guideline", GUIDELINE)
    assert hit.text == "[synthetic] Gout guideline 2025.\n[synthetic] first-line therapy"
    assert hit.sections == {"Date": "March 1, 2025"}
    assert query_of(web.asked[0])["q"] == "demo gout guideline"
    assert web.asked[0].headers["x-subscription-token"] == KEYS["brave"]


def test_markup_goes_and_comparisons_stay():
    assert plain("<b>5&nbsp;mg</b><br/><!-- x --> if age < 5 and > 1") == "5 mg if age < 5 and > 1"


async def test_brave_is_asked_for_one_site_within_its_limits():
    long = {"query": "gout " * 40, "max_results": 3, "site": "WHO.int"}
    _, web = await search(brave.Brave(), long, httpx.Response(200, json={"web": None}))
    asked = query_of(web.asked[0])
    assert asked["q"].startswith("site:who.int gout")
    assert len(asked["q"].split()) <= 50
    assert asked["count"] == "3"


async def test_brave_over_its_rate_is_busy():
    clock = Clock()
    with pytest.raises(UnavailableError, match="429, Request rate limit exceeded"):
        await search(brave.Brave(), GOUT, *[payload("brave_429.json", 429)] * 3, clock=clock)
    assert len(clock.slept) >= 2


async def test_tavily_brings_its_results():
    (hit,), web = await search(tavily.Tavily(), GOUT, payload("tavily_search.json"))
    assert (hit.title, hit.url, hit.score) == ("Demo Gout Guideline", GUIDELINE, 0.91)
    assert body_of(web.asked[0])["max_results"] == 5
    assert web.asked[0].headers["authorization"] == f"Bearer {KEYS['tavily']}"


@pytest.mark.parametrize(("name", "status"), [("tavily_401.json", 401), ("tavily_432.json", 432)])
async def test_tavily_without_key_or_credit_is_not_broken(name, status):
    with pytest.raises(UnavailableError, match=f"HTTP {status}, ") as caught:
        await search(tavily.Tavily(), GOUT, payload(name, status))
    assert not caught.value.is_failure


async def test_exa_brings_its_highlights():
    (hit,), web = await search(exa.Exa(), GOUT | {"site": "who.int"}, payload("exa_search.json"))
    assert (hit.url, hit.text) == (GUIDELINE, "[synthetic] highlight")
    assert hit.sections == {"Date": "2025-03-01"}
    assert body_of(web.asked[0])["includeDomains"] == ["who.int"]


async def test_searxng_is_asked_at_the_operators_address():
    (hit,), web = await search(searxng.SearXNG(), GOUT, payload("searxng.json"))
    assert (hit.url, hit.sections) == (GUIDELINE, {"Engines": "duckduckgo, brave"})
    assert str(web.asked[0].url).startswith("http://searx.local:8080/search?q=demo")
    assert searxng.origin_of("https://searx.example") == "searx.example:443"


@pytest.mark.parametrize("url", ["", "searx.local", "file:///etc/passwd", "http://[::1"])
def test_searxng_without_a_proper_address_is_not_ready(url):
    assert not searxng.SearXNG().ready(Desk(options={"searxng_url": url})).is_ready


async def test_searxng_without_json_says_what_to_switch_on():
    with pytest.raises(UnavailableError, match=r"add json to search\.formats"):
        await search(searxng.SearXNG(), GOUT, payload("searxng_403.html", 403))


async def test_searxng_whose_engines_are_silent_has_not_answered():
    silent = {"results": [], "unresponsive_engines": [["google", "CAPTCHA"]]}
    with pytest.raises(UnavailableError, match="google: CAPTCHA"):
        await search(searxng.SearXNG(), GOUT, httpx.Response(200, json=silent))
    hits, _ = await search(searxng.SearXNG(), GOUT, httpx.Response(200, json={"results": []}))
    assert hits == ()


@pytest.mark.parametrize("provider", [brave.Brave(), tavily.Tavily(), exa.Exa()])
async def test_no_hits_is_an_answer(provider):
    hits, _ = await search(provider, GOUT, httpx.Response(200, json={"results": []}))
    assert hits == ()


@pytest.mark.parametrize("site", ["who.int/../x", "a b.org", "localhost", "who.int OR x"])
async def test_a_site_is_one_domain(site):
    with pytest.raises(UserError, match=r"\$\.site"):
        await search(brave.Brave(), GOUT | {"site": site}, payload("brave_web.json"))


async def test_pubmed_brings_articles_with_labelled_abstracts():
    answers = payload("pubmed_esearch.json"), payload("pubmed_efetch.xml")
    (hit,), web = await search(pubmed.PubMed(), ARTICLES, *answers)
    assert hit.title.startswith("Demolol in heart failure with reduced ejection fraction")
    assert hit.url == "https://pubmed.ncbi.nlm.nih.gov/99000002/"
    assert hit.sections["Results"] == "[synthetic] HR 0.80 (95% CI 0.70\N{EN DASH}0.92)."
    assert hit.sections["Authors"] == "Doe J, Example Trial Group"
    assert hit.sections["Journal"] == "J Example Cardiol. 2024 May. 12(3):101-110"
    assert query_of(web.asked[1])["id"] == "99000002,99000001"


async def test_pubmed_always_says_who_asks_and_takes_a_key():
    answers = payload("pubmed_esearch.json"), payload("pubmed_efetch.xml")
    _, web = await search(pubmed.PubMed(), ARTICLES, *answers, keys={"ncbi": "ncbi-key-1"})
    for request in web.asked:
        asked = query_of(request)
        assert (asked["tool"], asked["email"]) == ("kos", "kos@example.org")
        assert asked["api_key"] == "ncbi-key-1"
    assert pubmed.PubMed().ready(Desk()).reason == "no contact e-mail"


async def test_pubmed_filters_by_type_and_abstract():
    asked = ARTICLES | {"publication_type": "meta_analysis"}
    answers = payload("pubmed_esearch.json"), payload("pubmed_efetch.xml")
    _, web = await search(pubmed.PubMed(), asked, *answers)
    term = query_of(web.asked[0])["term"]
    assert term == '("demolol heart failure") AND hasabstract AND (meta-analysis[pt])'


def ladder_answer(request: httpx.Request) -> httpx.Response:
    """Nothing but for an OR; counts for single terms."""
    asked = parse_qs(request.url.query.decode())
    if "efetch" in request.url.path:
        return payload("pubmed_efetch.xml")
    term, retmax = asked["term"][0], asked["retmax"][0]
    if " OR " in term:
        return payload("pubmed_esearch.json")
    counts = {"zzqx": "0", "demolol": "12", "renal": "90000", "dosing": "300"}
    count = counts.get(term, "0") if retmax == "0" else "0"
    return httpx.Response(200, json={"esearchresult": {"count": count, "idlist": []}})


async def test_pubmed_loosens_a_query_without_hits_step_by_step():
    asked = ARTICLES | {"query": "renal dosing of demolol zzqx"}
    hits, web = await search(pubmed.PubMed(), asked, ladder_answer)
    terms = [query_of(request)["term"] for request in web.asked if "esearch" in request.url.path]
    tail = " AND hasabstract"
    assert terms == [
        f'("renal dosing of demolol zzqx"){tail}',
        f"(renal AND dosing AND demolol AND zzqx){tail}",
        f"(renal AND dosing AND demolol){tail}",
        "renal",
        "dosing",
        "demolol",
        "zzqx",
        f"(demolol OR dosing){tail}",
    ]
    assert len(hits) == 1


async def test_pubmed_without_hits_at_all_has_answered():
    hits, web = await search(
        pubmed.PubMed(), ARTICLES | {"query": "zzqx"}, *[payload("pubmed_esearch_zero.json")] * 2
    )
    assert hits == ()
    assert len(web.asked) == 2


def test_a_query_written_for_pubmed_stays_as_it_is():
    query = '"heart failure"[mesh] AND demolol'
    assert [*pubmed.strict_first(query)] == [query]


async def test_pubmeds_error_inside_http_200_is_a_failure():
    with pytest.raises(UnavailableError, match="Search Backend failed") as caught:
        await search(pubmed.PubMed(), ARTICLES, payload("pubmed_esearch_error.json"))
    assert caught.value.is_failure


async def test_pubmed_over_its_rate_is_busy():
    answers = [payload("eutils_429.json", 429)] * 3
    with pytest.raises(UnavailableError, match="429, API rate limit exceeded"):
        await search(pubmed.PubMed(), ARTICLES, *answers)


@pytest.mark.parametrize(
    "xml",
    [
        b"<PubmedArticleSet><Pub",
        b'<!DOCTYPE x [<!ENTITY a "boom"><!ENTITY b "&a;&a;">]><x>&b;</x>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    ],
    ids=["cut", "billion laughs", "external entity"],
)
async def test_pubmeds_broken_or_hostile_xml_is_a_failure(xml):
    answers = payload("pubmed_esearch.json"), httpx.Response(200, content=xml)
    with pytest.raises(UnavailableError, match="broken XML"):
        await search(pubmed.PubMed(), ARTICLES, *answers)


async def test_a_retracted_article_says_so():
    xml = (PAYLOADS / "pubmed_efetch.xml").read_text()
    xml = xml.replace("Randomized Controlled Trial", "Retracted Publication")
    answers = payload("pubmed_esearch.json"), httpx.Response(200, text=xml)
    (hit,), _ = await search(pubmed.PubMed(), ARTICLES, *answers)
    assert hit.title.startswith("RETRACTED: Demolol")


VERSION = httpx.Response(200, json={"apiVersion": "2.0.5", "dataTimestamp": "2025-11-20T09:00:05"})


async def test_trials_come_with_what_a_reader_asks_first():
    answers = payload("ctgov_studies.json"), VERSION
    (hit,), _ = await search(ctgov.ClinicalTrials(), STUDY, *answers)
    assert hit.title == "NCT99000001: Demolol in Example Disease (synthetic)"
    assert hit.url == "https://clinicaltrials.gov/study/NCT99000001"
    assert hit.sections["Phase"] == "PHASE2, PHASE3"
    assert hit.sections["Design"] == "INTERVENTIONAL, RANDOMIZED, DOUBLE, 120 participants"
    assert hit.sections["Interventions"] == "Demolol (drug): 5 mg daily"
    assert hit.sections["Eligibility"].startswith("ALL, 18 Years\nInclusion Criteria:")
    assert hit.provenance.data_version == "2025-11-20T09:00:05"


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        ("recruiting", "RECRUITING,ENROLLING_BY_INVITATION,NOT_YET_RECRUITING"),
        ("active", "ACTIVE_NOT_RECRUITING"),
        ("completed", "COMPLETED,TERMINATED"),
        ("any", None),
    ],
)
async def test_the_status_is_translated_and_no_phase_filter_sent(status, sent):
    asked = STUDY | {"status": status, "intervention": "demolol"}
    _, web = await search(ctgov.ClinicalTrials(), asked, payload("ctgov_studies_empty.json"))
    query = query_of(web.asked[0])
    assert query.get("filter.overallStatus") == sent
    assert (query["query.intr"], query["pageSize"]) == ("demolol", "5")
    assert "filter.phase" not in query


async def test_no_trials_is_an_answer():
    hits, web = await search(ctgov.ClinicalTrials(), STUDY, payload("ctgov_studies_empty.json"))
    assert hits == ()
    assert len(web.asked) == 1


async def test_the_registrys_refusal_is_passed_on_in_its_words():
    with pytest.raises(RefusedError, match="RECRUITIN"):
        answer = payload("ctgov_400.txt", 400, **{"content-type": "text/plain"})
        await search(ctgov.ClinicalTrials(), STUDY, answer)


async def test_trials_are_shown_even_when_the_registrys_version_is_not_told():
    answers = payload("ctgov_studies.json"), httpx.Response(500)
    (hit,), _ = await search(ctgov.ClinicalTrials(), STUDY, *answers)
    assert hit.provenance.data_version == ""


def test_a_single_study_reads_the_same():
    study = json.loads((PAYLOADS / "ctgov_study.json").read_text())
    provenance = ctgov.ClinicalTrials().provenance(ctgov.link_of(study))
    assert ctgov.record_of(study, provenance).sections["Status"] == "RECRUITING"
