"""read_url: what it opens, and the much that it does not."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import httpx
import pytest

from kos.errors import UserError
from kos.messages import Source
from kos.tools.base import Provenance
from kos.tools.chain import ask
from kos.tools.desk import Desk, ReadingRules, urls_in
from kos.tools.net.guard import GuardBackend, guarded_transport
from kos.tools.net.pages import fetch_page
from kos.tools.read_url import ReadUrl
from tests.kos.tools.test_guard import PUBLIC, Backend, Resolver
from tests.kos.tools.web import PAYLOADS, Shelf, Web, desk_on, make_record, payload

URL = "https://example.org/gout"
HTML = {"content-type": "text/html; charset=utf-8"}


def page(name: str = "page_article.html") -> httpx.Response:
    return payload(name, 200, **HTML)


def desk_with(*answers, known: tuple[str, ...] = (URL,), **fields) -> Desk:
    web = Web(answers[0] if answers and callable(answers[0]) else list(answers))
    return desk_on(web, known_urls=set(known), **fields)


async def read(desk: Desk, url: str = URL, **arguments: str):
    return await ReadUrl().call({"url": url, **arguments}, desk)


def redirect(to: str) -> httpx.Response:
    return httpx.Response(302, headers={"location": to})


async def test_a_known_page_is_fetched_and_says_where_it_is_from():
    found = await read(desk_with(page()))
    (record,) = found.records
    assert (found.mode, found.notice) == ("live", "source: live example.org")
    assert (record.title, record.url) == ("Demo gout - Example Health", URL)
    assert "inflammatory arthritis" in record.text
    assert record.provenance.source_url == URL


async def test_no_key_and_no_cookie_goes_along():
    desk = desk_with(page())
    await read(desk)
    (request,) = desk.wire.transport.handler.asked
    sent = str(request.headers.raw) + str(request.url)
    assert not any(key in sent for key in desk.keys.values())
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/other",
        "https://example.org/gout?q=all+that+was+said",
        "https://evil.example/?q=all+that+was+said",
        "https://example.org/gou",
    ],
)
async def test_a_url_that_nobody_mentioned_is_not_fetched(url):
    desk = desk_with()
    with pytest.raises(UserError, match="neither in the question nor in an earlier result"):
        await read(desk, url)
    assert desk.num_fetches == 0


async def test_what_was_mentioned_may_be_read_up_to_its_fragment():
    desk = desk_with(page(), known=())
    desk.learn("See (https://EXAMPLE.org/gout), section 2.")
    assert (await read(desk, "https://example.org/gout#treatment")).mode == "live"


def test_urls_are_found_in_sentences():
    text = (
        "Read https://a.org/x. Or (https://b.org/y_(z)), <http://c.org/?q=1&r=2>; 'https://d.org'!"
    )
    assert urls_in(text) == {
        "https://a.org/x",
        "https://b.org/y_(z)",
        "http://c.org/?q=1&r=2",
        "https://d.org",
    }


async def test_the_second_reading_comes_from_the_cache_and_counts_nothing():
    desk = desk_with(page())
    await read(desk)
    found = await read(desk, focus="dose")
    assert found.mode == "cache"
    assert desk.num_fetches == 1
    assert found.records[0].text.startswith("Treatment")


async def test_eight_pages_are_the_most_for_one_question():
    urls = tuple(f"https://example.org/{number}" for number in range(9))
    desk = desk_with(lambda request: page(), known=urls)
    for url in urls[:8]:
        await read(desk, url)
    with pytest.raises(UserError, match="8 pages were read"):
        await read(desk, urls[8])
    assert desk.for_conversation().num_fetches == 0


async def test_a_source_of_the_conversation_is_read_whole(no_network):
    provenance = asdict(Provenance("openFDA", "live"))
    desk = Desk(sources={"S3": Source("S3", "Label", "", "Warnings.\n\nRenal dose.", provenance)})
    found = await read(desk, "kos://doc/S3", focus="renal")
    assert found.notice == "source: live openFDA, the whole of S3"
    assert found.records[0].text.startswith("Renal dose.")


async def test_a_record_of_the_corpus_is_read_by_its_address(no_network):
    record = make_record("Gout", url="kos://corpus/guideline/gout")
    found = await read(Desk(corpus=Shelf({"guideline": [record]})), record.url)
    assert (found.mode, found.notice) == ("embedded", "source: embedded guideline 2026-04")


async def test_an_unknown_local_address_is_answered_with_the_known_ones():
    source = Source("S1", "", "", "", asdict(Provenance("x", "live")))
    with pytest.raises(UserError, match="Sources of this conversation: kos://doc/S1"):
        await read(Desk(sources={"S1": source}), "kos://doc/S9")


async def test_off_line_a_page_of_the_corpus_is_read_and_no_other(no_network):
    desk = Desk(is_offline=True, corpus=Shelf({"guideline": [make_record("Gout")]}))
    assert (await read(desk)).notice.endswith("offline: the page itself was not read")
    desk.learn("https://example.org/elsewhere")
    with pytest.raises(UserError, match="offline: that page is not on this machine"):
        await read(desk, "https://example.org/elsewhere")


async def test_off_line_the_cache_still_answers(no_network):
    desk = desk_with(page())
    await read(desk)
    desk.is_offline = True
    assert (await read(desk)).mode == "cache"


async def test_a_page_that_fails_is_read_from_the_corpus_instead():
    desk = desk_with(httpx.Response(500), corpus=Shelf({"guideline": [make_record("Gout")]}))
    found = await read(desk)
    assert found.notice == "source: embedded guideline 2026-04; example.org: HTTP 500"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(404), "404"),
        (httpx.Response(200, content=b"%PDF", headers={"content-type": "application/pdf"}), "PDF"),
        (httpx.Response(200, content=b"", headers=HTML), "no text"),
        (httpx.Response(200, content=bytes(6_000_000), headers=HTML), "bigger than 5 MB"),
        (httpx.Response(403), "403"),
    ],
    ids=["gone", "pdf", "empty", "huge", "forbidden"],
)
async def test_what_cannot_be_read_is_answered_in_a_sentence(answer, words):
    with pytest.raises(UserError, match=words):
        await read(desk_with(answer))


async def test_five_redirects_are_followed_and_no_more():
    hops = [redirect(f"/{number}") for number in range(5)]
    found = await read(desk_with(*hops, page()))
    assert found.records[0].url == "https://example.org/4"
    with pytest.raises(UserError, match="more than 5 redirects"):
        await read(desk_with(*hops, redirect("/5"), page()))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://example.org/", "away from https"),
        ("https://example.org:8443/", "port 8443"),
        ("https://user:pw@example.org/", "user name"),
        ("ftp://example.org/", "away from https"),
        ("https://bad.example/", "bad.example is not read here"),
        ("https://x.bad.example/", "is not read here"),
        ("https://[::1", "Invalid URL in location"),
    ],
)
async def test_every_redirect_obeys_the_rules_again(target, words):
    rules = ReadingRules(denied_domains=("bad.example",))
    with pytest.raises(UserError, match=words):
        await read(desk_with(redirect(target), page(), reading=rules))


async def test_only_the_listed_domains_are_read_where_there_is_a_list():
    rules = ReadingRules(only_domains=("who.int",))
    desk = desk_with(page(), known=(URL, "https://www.who.int/gout"), reading=rules)
    with pytest.raises(UserError, match=r"only these domains are read here: who\.int"):
        await read(desk)
    assert (await read(desk, "https://www.who.int/gout")).mode == "live"


async def test_a_redirect_into_the_house_is_stopped_when_connecting():
    answer = (
        b"HTTP/1.1 302 Found\r\nLocation: https://intranet.example/\r\nContent-Length: 0\r\n\r\n"
    )
    resolver, inner = Resolver([PUBLIC], ["10.0.0.1"]), Backend(answer)
    desk = desk_with()
    backend = GuardBackend(resolver=resolver, inner=inner)
    desk.wire.transport = guarded_transport(backend=backend)
    with pytest.raises(
        UserError, match=r"intranet\.example leads to an address that is not public"
    ):
        await read(desk)
    assert resolver.asked == ["example.org", "intranet.example"]
    assert inner.connected == [PUBLIC]


async def test_a_private_searxng_is_reached_and_opens_no_door_for_pages():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = (PAYLOADS / "searxng.json").read_bytes()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        here = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        rules = ReadingRules(is_http_allowed=True)
        desk = Desk(options={"searxng_url": here}, known_urls={here}, reading=rules)
        assert (await ask("web_search", {"query": "gout"}, desk)).mode == "live"
        with pytest.raises(UserError, match="port"):
            await read(desk, here)
    with pytest.raises(UserError, match="not public"):
        await fetch_page("http://127.0.0.1/", desk)
