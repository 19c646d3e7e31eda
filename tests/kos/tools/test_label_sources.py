"""openFDA, DailyMed and RxNorm on what they really answer."""

from __future__ import annotations

import json

import httpx
import pytest

from kos.tools.desk import Desk
from kos.tools.net.failures import RefusedError, UnavailableError
from kos.tools.providers import dailymed, labels, openfda, rxnorm
from kos.tools.registry import pick_tools
from tests.kos.tools.web import PAYLOADS, Web, desk_on, payload

DEMOLOL = {"drug": "Democor", "sections": ["boxed_warning", "renal", "lactation"]}
NO_HITS = payload("openfda_404.json", 404)


def upstream(**answers):
    """RxNorm as in the payloads; other hosts as given."""
    named = {
        "/REST/rxcui.json": "rxnorm_rxcui.json",
        "/REST/rxcui/9900001/properties.json": "rxnorm_properties.json",
        "/REST/rxcui/9900001/related.json": "rxnorm_related.json",
        "/REST/approximateTerm.json": "rxnorm_approximate_term.json",
    } | answers

    def answer(request: httpx.Request) -> httpx.Response:
        found = named.get(request.url.path)
        assert found is not None, request.url
        return found() if callable(found) else payload(found)

    return Web(answer)


async def look_up(provider, web, arguments=DEMOLOL, **fields):
    return await provider.search(arguments, desk_on(web, **fields))


def paths(web):
    return [request.url.path for request in web.asked]


async def test_openfda_gives_the_sections_wanted_and_says_what_is_missing():
    web = upstream(**{"/drug/label.json": "openfda_label.json"})
    (hit,) = await look_up(openfda.OpenFda(), web)
    assert hit.title == "Democor (demolol fumarate): drug label"
    assert list(hit.sections) == ["boxed_warning", "renal"]
    assert "creatinine clearance below 40 mL/min" in hit.sections["renal"]
    assert "Not on this label: lactation." in hit.text
    assert "RxNorm: Democor is demolol (RxCUI 9900001)." in hit.text
    assert hit.provenance.data_version == "2025-11-14"
    assert "NLM is not responsible" in hit.provenance.attribution


async def test_openfda_is_asked_by_number_and_by_both_names():
    web = upstream(**{"/drug/label.json": "openfda_label.json"})
    await look_up(openfda.OpenFda(), web)
    search = web.asked[-1].url.params["search"]
    assert search == (
        'openfda.rxcui:"9900001" openfda.generic_name:"demolol" openfda.brand_name:"demolol"'
        ' openfda.generic_name:"Democor" openfda.brand_name:"Democor"'
    )
    assert web.asked[-1].url.params["sort"] == "effective_time:desc"


async def test_openfdas_404_means_no_hits():
    web = upstream(**{"/drug/label.json": lambda: payload("openfda_404.json", 404)})
    assert await look_up(openfda.OpenFda(), web) == ()


async def test_a_label_without_names_is_found_by_its_ingredients():
    answers = iter(["openfda_404.json", "openfda_label_otc_empty_openfda.json"])

    def answer():
        name = next(answers)
        return payload(name, 404 if "404" in name else 200)

    web = upstream(**{"/drug/label.json": answer})
    arguments = {"drug": "demofen", "sections": ["warnings", "interactions", "pregnancy"]}
    (hit,) = await look_up(openfda.OpenFda(), web, arguments)
    assert "Stomach bleeding warning" in hit.sections["warnings"]
    assert "blood thinners" in hit.sections["interactions"]
    assert "health professional" in hit.sections["pregnancy"]
    assert web.asked[-1].url.params["search"].startswith("spl_product_data_elements:")


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("openfda_400.json", 400, RefusedError),
        ("openfda_403.json", 403, UnavailableError),
        ("openfda_429.json", 429, UnavailableError),
    ],
)
async def test_openfdas_errors_are_told_without_the_key(name, status, error):
    web = upstream(**{"/drug/label.json": lambda: payload(name, status)})
    with pytest.raises(error) as caught:
        await look_up(openfda.OpenFda(), web, keys={"openfda": "secret-openfda-key"})
    assert "secret-openfda-key" not in str(caught.value)
    assert web.asked[-1].url.params["api_key"] == "secret-openfda-key"


async def test_a_name_cannot_break_out_of_the_query():
    web = upstream(**{"/drug/label.json": "openfda_label.json"})
    await look_up(openfda.OpenFda(), web, {"drug": 'x" OR effective_time:[1 TO 2] "'})
    assert 'x OR effective_time 1 TO 2"' in web.asked[-1].url.params["search"]
    assert web.asked[-1].url.params["search"].count('"') % 2 == 0


async def test_without_rxnorm_the_name_goes_as_the_normaliser_here_knows_it():
    web = upstream(
        **{
            "/REST/rxcui.json": lambda: httpx.Response(404),
            "/drug/label.json": "openfda_label.json",
        }
    )
    (hit,) = await look_up(openfda.OpenFda(), web)
    assert "RxNorm" not in hit.text


async def test_a_misspelled_drug_is_found_by_spelling():
    web = upstream(**{"/REST/rxcui.json": "rxnorm_rxcui_empty.json"})
    concept = await rxnorm.resolve("demolool", desk_on(web))
    assert (concept.name, concept.rxcui) == ("demolol", "9900001")
    assert concept.line == "RxNorm by spelling: demolool is demolol (RxCUI 9900001)."


async def test_a_drug_that_nobody_knows_is_asked_for_as_it_is():
    web = upstream(
        **{
            "/REST/rxcui.json": "rxnorm_rxcui_empty.json",
            "/REST/approximateTerm.json": "rxnorm_approximate_term_empty.json",
        }
    )
    assert await rxnorm.resolve("Nosuch", desk_on(web)) == ("nosuch", "", "")


async def test_dailymed_gives_the_sections_of_the_label_that_is_meant():
    set_id = "00000000-aaaa-4000-8000-000000000001"
    web = upstream(
        **{
            "/dailymed/services/v2/spls.json": "dailymed_spls.json",
            f"/dailymed/services/v2/spls/{set_id}.xml": "dailymed_spl.xml",
        }
    )
    (hit,) = await look_up(dailymed.DailyMed(), web)
    assert hit.sections["boxed_warning"].startswith("WARNING: DO NOT STOP ABRUPTLY")
    assert "CrCl below 40 mL/min: 2.5 mg" in hit.sections["renal"]
    assert hit.url == f"https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid={set_id}"
    assert hit.provenance.data_version == "2025-01-15"


async def test_dailymed_without_hits_is_empty():
    web = upstream(**{"/dailymed/services/v2/spls.json": "dailymed_spls_empty.json"})
    assert await look_up(dailymed.DailyMed(), web) == ()


async def test_a_label_with_entities_of_its_own_is_refused():
    evil = b'<!DOCTYPE a [<!ENTITY b "c">]><document xmlns="urn:hl7-org:v3">&b;</document>'
    with pytest.raises(UnavailableError, match="broken XML"):
        dailymed.read_spl(evil)


def label(generic: str, *, brand: str = "", day: str = "2024-01-01", is_rx: bool = True):
    return labels.Label(day + generic, generic, (generic,), (brand,) if brand else (), day, is_rx)


def test_the_label_that_is_meant_comes_first():
    chosen = labels.choose(
        [
            label("metformin and sitagliptin", day="2025-06-01"),
            label("metformin hydrochloride", day="2023-01-01"),
            label("metformin hydrochloride", day="2025-01-01", is_rx=False),
            label("metformin hydrochloride", day="2024-01-01"),
            label("glyburide", day="2025-09-01"),
        ],
        generic="metformin",
        asked="Glucophage",
    )
    assert [one.effective for one in chosen] == [
        "2024-01-01",
        "2023-01-01",
        "2025-06-01",
        "2025-01-01",
        "2025-09-01",
    ]


def test_kidney_and_liver_are_read_out_of_broader_sections():
    text = "Take with food. In renal impairment halve the dose. Avoid in Child-Pugh C."
    assert labels.organs_in([text]) == {
        "renal": "In renal impairment halve the dose.",
        "hepatic": "Avoid in Child-Pugh C.",
    }


async def test_the_chain_falls_to_dailymed_when_openfda_is_out(monkeypatch):
    set_id = "00000000-aaaa-4000-8000-000000000001"
    web = upstream(
        **{
            "/drug/label.json": lambda: httpx.Response(503),
            "/dailymed/services/v2/spls.json": "dailymed_spls.json",
            f"/dailymed/services/v2/spls/{set_id}.xml": "dailymed_spl.xml",
        }
    )
    (tool,) = pick_tools(("search_drug_label",))
    found = await tool.call({"drug": "Democor"}, desk_on(web))
    assert found.notice.startswith("source: live DailyMed 2025-01-15; openFDA: HTTP 503")


async def test_without_anything_the_tool_is_honest():
    (tool,) = pick_tools(("search_drug_label",))
    found = await tool.call({"drug": "Democor"}, Desk(is_offline=True))
    assert found.records == ()
    assert "offline" in found.notice


def test_payloads_are_as_they_were_given():
    assert json.loads((PAYLOADS / "openfda_label.json").read_text())["results"][0]["set_id"]
