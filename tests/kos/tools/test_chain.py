"""Who is asked in which order, and what is said about it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest

from kos.errors import UserError
from kos.tools import chain
from kos.tools.chain import ask
from kos.tools.desk import Desk
from kos.tools.net.cache import MemoryCache, key_of, seconds_kept
from tests.kos.tools.web import Clock, Shelf, Web, desk_on, make_record, payload

GOUT = {"query": "gout guideline", "max_results": 5}
TRIALS = {"condition": "gout", "status": "any", "max_results": 5}
BRAVE = {"web_search": ("brave", "embedded")}


def shelf() -> Shelf:
    return Shelf({"guideline": [make_record("Gout")], "trial": []})


async def test_the_first_ready_source_answers_and_is_named():
    web = Web([payload("brave_web.json")])
    found = await ask("web_search", GOUT, desk_on(web))
    assert (found.mode, found.notice) == ("live", "source: live Brave Search")
    (record,) = found.records
    assert record.provenance.provider == "brave"
    assert record.provenance.retrieved_at.endswith("+00:00")


async def test_sources_that_are_not_set_up_are_passed_over():
    web = Web([payload("tavily_search.json")])
    found = await ask("web_search", GOUT, desk_on(web, keys={"tavily": "tavily-key"}))
    assert found.notice == "source: live Tavily"


async def test_a_source_that_breaks_is_passed_over_and_the_reason_told():
    web = Web([httpx.Response(500), payload("tavily_search.json")])
    found = await ask("web_search", GOUT, desk_on(web))
    assert found.notice == "source: live Tavily; Brave Search: HTTP 500"


@pytest.mark.parametrize("answer", [httpx.Response(429), httpx.ReadTimeout("slow")])
async def test_busy_and_silent_sources_leave_the_answer_to_this_machine(answer):
    desk = desk_on(Web([answer] * 3), chains=BRAVE, corpus=shelf())
    found = await ask("web_search", GOUT, desk)
    assert found.mode == "embedded"
    assert found.notice.startswith("source: embedded local corpus 2026-04; Brave Search: ")


@pytest.mark.parametrize("shape", [[1, 2], {"web": 7}, {"web": {"results": ["x"]}}, "no"])
async def test_an_answer_in_an_unknown_shape_is_a_failure(shape):
    answer = httpx.Response(200, json=shape)
    found = await ask("web_search", GOUT, desk_on(Web([answer]), chains=BRAVE, corpus=shelf()))
    assert found.notice.endswith("Brave Search: its answer has an unknown shape")


async def test_no_hits_of_a_healthy_source_stay_no_hits():
    empty = httpx.Response(200, json={"web": {"results": []}})
    found = await ask("web_search", GOUT, desk_on(Web([empty]), chains=BRAVE, corpus=shelf()))
    assert (found.records, found.mode) == ((), "live")


async def test_a_desk_that_merges_looks_here_too():
    empty = httpx.Response(200, json={"web": {"results": []}})
    desk = desk_on(Web([empty]), chains=BRAVE, corpus=shelf(), is_merging_embedded=True)
    found = await ask("web_search", GOUT, desk)
    assert found.notice == "source: embedded local corpus 2026-04; Brave Search: no hits"


async def test_a_merging_desk_with_nothing_here_keeps_the_healthy_answer():
    empty = httpx.Response(200, json={"web": {"results": []}})
    desk = desk_on(Web([empty]), chains=BRAVE, is_merging_embedded=True)
    assert (await ask("web_search", GOUT, desk)).notice == "source: live Brave Search"


async def test_off_line_only_this_machine_is_asked(no_network):
    found = await ask("web_search", GOUT, Desk(is_offline=True, corpus=shelf()))
    assert (
        found.notice == "source: embedded local corpus 2026-04; offline: no live source was asked"
    )


async def test_without_keys_the_notice_says_that_nothing_live_is_set_up(no_network):
    found = await ask("web_search", GOUT, Desk(chains=BRAVE, corpus=shelf()))
    assert found.notice == (
        "source: embedded local corpus 2026-04; live source not configured (Brave Search: no key)"
    )


async def test_trials_off_line_are_honestly_none(no_network):
    found = await ask("search_clinical_trials", TRIALS, Desk(is_offline=True, corpus=shelf()))
    assert found.records == ()
    assert "offline: no registry imported" in found.notice
    assert "no evidence of absence" in found.notice


async def test_an_imported_registry_is_searched_by_status():
    trials = [
        make_record("Gout one", sections={"Status": "RECRUITING"}),
        make_record("Gout two", sections={"Status": "COMPLETED"}),
    ]
    desk = Desk(is_offline=True, corpus=Shelf({"trial": trials}))
    found = await ask("search_clinical_trials", TRIALS | {"status": "completed"}, desk)
    assert [record.title for record in found.records] == ["Gout two"]


async def test_one_site_of_the_local_corpus_can_be_searched():
    there = make_record("Gout WHO", url="https://www.who.int/gout")
    desk = Desk(is_offline=True, corpus=Shelf({"guideline": [make_record("Gout"), there]}))
    found = await ask("web_search", GOUT | {"site": "who.int"}, desk)
    assert [record.title for record in found.records] == ["Gout WHO"]


async def test_when_all_that_were_asked_broke_the_call_fails():
    desk = desk_on(Web([httpx.Response(500)]), chains={"web_search": ("brave",)})
    with pytest.raises(UserError, match=r"no source of web_search answered \(Brave Search: HTTP"):
        await ask("web_search", GOUT, desk)


async def test_a_refusal_goes_to_the_model_and_not_to_the_next_source():
    web = Web([payload("ctgov_400.txt", 400, **{"content-type": "text/plain"})])
    with pytest.raises(UserError, match="RECRUITIN"):
        await ask("search_clinical_trials", TRIALS, desk_on(web))


async def test_an_unknown_source_in_a_chain_is_named():
    with pytest.raises(UserError, match=r"no source 'bing'\. There are: brave"):
        await ask("web_search", GOUT, Desk(chains={"web_search": ("bing",)}))


async def test_the_second_time_the_answer_comes_from_the_cache():
    web = Web([payload("brave_web.json")])
    desk = desk_on(web)
    first = await ask("web_search", GOUT, desk)
    again = await ask("web_search", GOUT, desk)
    assert again.mode == "cache"
    assert again.records[0].provenance.mode == "cache"
    assert again.notice == (
        f"source: cache Brave Search, retrieved {first.records[0].provenance.retrieved_at}"
    )
    assert len(web.asked) == 1


async def test_what_is_private_is_kept_for_its_owner_alone():
    web = Web(lambda request: payload("brave_web.json"))
    desk = desk_on(web, owner="ann")
    await ask("web_search", GOUT, desk)
    assert (await ask("web_search", GOUT, replace(desk, owner="bob"))).mode == "live"
    assert (await ask("web_search", GOUT, desk)).mode == "cache"


async def test_the_cache_forgets_in_time():
    clock = Clock()
    cache = MemoryCache(clock)
    await cache.put("key", {"a": 1}, 10)
    clock.now += 9
    assert await cache.get("key") == {"a": 1}
    clock.now += 1
    assert await cache.get("key") is None


def test_a_cache_key_is_the_question_and_never_the_key():
    asked = {"arguments": {"query": "gout", "max_results": 5}, "version": "v1"}
    turned = {"arguments": {"max_results": 5, "query": "gout"}, "version": "v1"}
    assert key_of("web_search", "brave", **asked) == key_of("web_search", "brave", **turned)
    others = [
        key_of("web_search", "exa", **asked),
        key_of("search_icd", "brave", **asked),
        key_of("web_search", "brave", **asked | {"version": "v2"}),
        key_of("web_search", "brave", **asked | {"arguments": {"query": "Gout"}}),
        key_of("web_search", "brave", **asked, owner="ann"),
    ]
    assert len({key_of("web_search", "brave", **asked), *others}) == 6


@pytest.mark.parametrize(
    ("tool", "hours"),
    [
        ("search_drug_label", 24),
        ("search_triage_guideline", 24),
        ("search_pubmed", 6),
        ("search_clinical_trials", 6),
        ("web_search", 0.25),
        ("search_icd", 720),
    ],
)
def test_answers_are_kept_as_long_as_they_are_good(tool, hours):
    assert seconds_kept(tool) == hours * 3600


async def test_the_same_question_at_once_is_asked_once():
    web = Web(lambda request: payload("brave_web.json"))
    desk = desk_on(web)
    found = await asyncio.gather(*(ask("web_search", GOUT, desk) for _ in range(4)))
    assert len(web.asked) == 1
    assert all(len(one.records) == 1 for one in found)


async def test_a_source_that_keeps_failing_is_left_alone():
    web = Web(lambda request: httpx.Response(500))
    desk = desk_on(web, chains=BRAVE, corpus=shelf())
    for number in range(7):
        found = await ask("web_search", GOUT | {"query": f"gout {number}"}, desk)
    assert len(web.asked) == 5
    assert "paused for" in found.notice


async def test_a_slow_source_leaves_time_for_the_next(monkeypatch):
    monkeypatch.setattr(chain, "SOURCE_SECONDS", 0.05)

    class Sleepy(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            await asyncio.sleep(30)

    desk = desk_on(Web([]), chains=BRAVE, corpus=shelf())
    desk.wire.transport = Sleepy()
    found = await ask("web_search", GOUT, desk)
    assert found.notice.endswith("Brave Search: no answer in 0 seconds")
