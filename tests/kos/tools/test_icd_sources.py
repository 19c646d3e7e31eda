"""WHO's API and NLM's tables: tokens, errors inside HTTP 200, and the chain over both."""

from __future__ import annotations

import httpx
import pytest

from kos.tools.net.failures import UnavailableError
from kos.tools.providers import clinicaltables, who_icd
from kos.tools.registry import pick_tools
from tests.kos.tools.web import Clock, Web, desk_on, payload

KEYS = {"who_client_id": "client-id-1", "who_client_secret": "client-secret-1"}
GOUT = {"query": "gout", "version": "icd11"}
MMS = "/icd/release/11/2025-01/mms"


class Who:
    """WHO's servers; counts tokens, and refuses those that were revoked."""

    def __init__(self, search: str = "who_search.json") -> None:
        self.search = search
        self.num_tokens = 0
        self.refused: set[str] = set()
        self.web = Web(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/connect/token":
            self.num_tokens += 1
            name = f"token-number-{self.num_tokens}"
            return httpx.Response(200, json={"access_token": name, "expires_in": 3600})
        if request.headers.get("authorization", "").removeprefix("Bearer ") in self.refused:
            return httpx.Response(401)
        if path == f"{MMS}/search":
            return payload(self.search)
        if path == f"{MMS}/codeinfo/FA99.Z":
            return payload("who_codeinfo.json")
        if path.startswith((f"{MMS}/9900", "/icd/release/10/2019/M10")):
            return payload("who_entity.json")
        return httpx.Response(404)

    def desk(self, **fields):
        return desk_on(self.web, **{"keys": KEYS} | fields)


async def test_a_hit_comes_with_code_definition_and_licence():
    who = Who()
    (hit,) = await who_icd.WhoIcd().search(GOUT, who.desk())
    assert hit.title == "FA99.Z Demo gout, unspecified"
    assert hit.sections["Definition"] == "[synthetic] A crystal arthropathy."
    assert hit.sections["Exclusions"] == "demo pseudogout"
    assert hit.url == "https://icd.who.int/browse/2025-01/mms/en#990000001"
    assert hit.provenance.licence == "CC BY-ND 3.0 IGO"
    assert hit.provenance.data_version == "ICD-11 2025-01"


async def test_it_is_asked_as_who_wants_it():
    who = Who()
    await who_icd.WhoIcd().search(GOUT, who.desk())
    asked = who.web.asked[1]
    assert asked.headers["api-version"] == "v2"
    assert asked.headers["authorization"] == "Bearer token-number-1"
    assert asked.url.params["highlightingEnabled"] == "false"
    assert {request.url.scheme for request in who.web.asked} == {"https"}
    assert {request.url.host for request in who.web.asked} <= {
        "id.who.int",
        "icdaccessmanagement.who.int",
    }


async def test_a_token_is_kept_until_it_ends():
    who, clock, provider = Who(), Clock(), who_icd.WhoIcd()
    desk = desk_on(who.web, clock, keys=KEYS)
    await provider.search(GOUT, desk)
    await provider.search(GOUT, desk)
    assert who.num_tokens == 1
    clock.now += 3600
    await provider.search(GOUT, desk)
    assert who.num_tokens == 2


async def test_a_token_that_is_refused_is_renewed_once():
    who, provider = Who(), who_icd.WhoIcd()
    desk = who.desk()
    await provider.search(GOUT, desk)
    who.refused = {"token-number-1"}
    assert await provider.search(GOUT, desk)
    assert who.num_tokens == 2
    who.refused = {"token-number-2", "token-number-3"}
    with pytest.raises(UnavailableError, match="token is refused"):
        await provider.search(GOUT, desk)


async def test_an_error_inside_http_200_is_an_error():
    with pytest.raises(UnavailableError, match="search string is empty"):
        await who_icd.WhoIcd().search(GOUT, Who("who_search_error200.json").desk())


async def test_no_hits_is_an_answer():
    assert await who_icd.WhoIcd().search(GOUT, Who("who_search_empty.json").desk()) == ()


async def test_a_client_that_who_does_not_know_is_told_without_its_secret():
    web = Web([payload("who_token_error.json", 400)])
    with pytest.raises(UnavailableError, match="invalid_client") as caught:
        await who_icd.WhoIcd().search(GOUT, desk_on(web, keys=KEYS))
    assert "client-secret-1" not in str(caught.value)


async def test_a_code_is_looked_up_as_one():
    who = Who()
    (hit,) = await who_icd.WhoIcd().search({"query": "FA99.Z", "version": "icd11"}, who.desk())
    assert "Demo gout" in hit.title
    assert f"{MMS}/codeinfo/FA99.Z" in [request.url.path for request in who.web.asked]


async def test_icd_10_is_there_by_code_alone():
    who = Who()
    assert await who_icd.WhoIcd().search({"query": "M10", "version": "icd10"}, who.desk())
    with pytest.raises(UnavailableError) as caught:
        await who_icd.WhoIcd().search({"query": "gout", "version": "icd10"}, who.desk())
    assert not caught.value.is_failure


async def test_a_local_container_needs_no_key_and_no_token():
    who = Who()
    desk = who.desk(keys={}, options={"who_url": "http://icd.local:8080/"})
    provider = who_icd.WhoIcd()
    assert provider.ready(desk).is_ready
    assert await provider.search(GOUT, desk)
    assert who.num_tokens == 0
    assert {request.url.host for request in who.web.asked} == {"icd.local"}


def test_without_keys_who_is_not_ready():
    assert who_icd.WhoIcd().ready(desk_on(Web([]), keys={})) == (False, "no key")


@pytest.mark.parametrize(
    ("version", "file", "title", "path"),
    [
        ("icd10", "clinicaltables_icd10cm.json", "M10.9 Gout, unspecified", "icd10cm"),
        ("icd11", "clinicaltables_icd11.json", "FA99.Z Demo gout, unspecified", "icd11_codes"),
    ],
)
async def test_clinical_tables_give_codes_without_a_key(version, file, title, path):
    web = Web([payload(file)])
    arguments = {"query": "gout", "version": version}
    first, *_ = await clinicaltables.ClinicalTables().search(arguments, desk_on(web))
    assert first.title == title
    assert web.asked[0].url.path == f"/api/{path}/v3/search"


async def test_an_answer_in_another_form_is_no_answer():
    web = Web([httpx.Response(200, json={"error": "x"})])
    with pytest.raises(UnavailableError):
        await clinicaltables.ClinicalTables().search(GOUT, desk_on(web))


async def test_the_chain_goes_from_who_to_the_tables_to_what_is_here(corpus):
    (tool,) = pick_tools(("search_icd",))
    web = Web(lambda request: httpx.Response(503))
    found = await tool.call({"query": "heart attack"}, desk_on(web, keys={}, corpus=corpus))
    assert found.mode == "embedded"
    assert found.notice.startswith("source: embedded classification ICD-10-CM April 2026; ")
    assert "NLM Clinical Tables: HTTP 503" in found.notice
    assert found.notice.endswith("these are ICD-10-CM codes")
    assert found.records[0].title.startswith("I21")
