"""What a page says, and nothing that it hides."""

from __future__ import annotations

import time

import pytest

from kos.errors import UserError
from kos.tools import extraction
from kos.tools.extraction import extract, read_html
from kos.tools.passages import REST, paragraphs, put_first
from tests.kos.tools.web import PAYLOADS

ARTICLE = (PAYLOADS / "page_article.html").read_bytes()
VISIBLE = "<p>Gout is an inflammatory arthritis that is treated with anti-inflammatory drugs.</p>"


def page(inner: str) -> bytes:
    return f"<!doctype html><html><body><article>{VISIBLE}{inner}</article></body></html>".encode()


def test_an_article_is_read_with_its_lists_and_tables():
    found = read_html(ARTICLE)
    assert found.title == "Demo gout - Example Health"
    assert "Gout is an inflammatory arthritis." in found.text
    assert "- Colchicine" in found.text
    assert "| Demolol | 5 mg |" in found.text
    assert "var x" not in found.text


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>SECRET</p>",
        '<p hidden="until-found">SECRET</p>',
        '<div aria-hidden="TRUE"><p>SECRET</p></div>',
        '<p style="display:none">SECRET</p>',
        '<p style="DISPLAY : none !important">SECRET</p>',
        '<p style="color:red; visibility: hidden">SECRET</p>',
        '<p style="font-size:0">SECRET</p>',
        '<p style="font-size: 0px; color: red">SECRET</p>',
        '<p style="display:/**/none">SECRET</p>',
        '<p style="opacity:0">SECRET</p>',
        "<template><p>SECRET</p></template>",
        "<noscript><p>SECRET</p></noscript>",
        "<script>SECRET</script><style>.SECRET{}</style>",
        "<svg><text>SECRET</text></svg>",
        '<iframe srcdoc="SECRET">SECRET</iframe>',
        "<!-- SECRET -->",
        '<input type="hidden" value="SECRET">',
    ],
)
def test_what_is_hidden_is_not_read(hidden):
    found = read_html(page(hidden + "<p>And this is read after it.</p>"))
    assert "SECRET" not in found.text
    assert "And this is read after it." in found.text


def test_what_stands_behind_something_hidden_stays():
    found = read_html(page("<p>Take <b hidden>SECRET</b>with food and a glass of water.</p>"))
    assert "Take with food and a glass of water." in found.text
    found = read_html(page("<p>Take <i>it</i> <b hidden>SECRET</b>with food and water.</p>"))
    assert "Take it with food and water." in " ".join(found.text.split())


def test_ordinary_styles_hide_nothing():
    shown = '<p style="font-size:0.9em; opacity:0.8; display:block">It is shown to the reader.</p>'
    assert "It is shown to the reader." in read_html(page(shown)).text


def test_a_page_without_an_article_is_read_whole():
    found = read_html(b"<html><body><div>One.</div><div>Two.</div></body></html>")
    assert found.text.split() == ["One.", "Two."]


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"<", b"<html></html>", b"\n\n"])
def test_a_page_of_nothing_says_nothing(content):
    assert len(read_html(content).text) < 10


def test_deep_nesting_does_no_harm():
    started = time.perf_counter()
    read_html(b"<div>" * 200_000 + b"deep")
    assert time.perf_counter() - started < 8


async def test_plain_text_and_json_are_read_in_their_charset():
    found = await extract("5 µg".encode("latin-1"), "text/plain", charset="latin-1")
    assert found.text == "5 µg"
    assert (await extract(b'{"a":1}', "application/json")).text == '{\n "a": 1\n}'
    assert (await extract(b"x", "text/plain", charset="no-such")).text == "x"


async def test_a_page_says_its_own_charset_when_the_header_does_not():
    body = '<html><head><meta charset="iso-8859-1"></head><body><p>5 µg</p></body></html>'
    assert "5 µg" in (await extract(body.encode("latin-1"), "text/html")).text


@pytest.mark.parametrize(
    ("content_type", "words"),
    [("application/pdf", "PDF"), ("image/png", "image/png"), ("", "no type")],
)
async def test_other_types_are_refused_in_a_sentence(content_type, words):
    with pytest.raises(UserError, match=words):
        await extract(b"%PDF-1.7", content_type)


async def test_a_page_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(extraction, "SECONDS", 0.05)
    monkeypatch.setattr(extraction, "read_html", lambda *args: time.sleep(0.3))
    with pytest.raises(UserError, match="too tangled"):
        await extract(b"<p>", "text/html")


def test_paragraphs_keep_their_items():
    assert paragraphs("Treatment\n- NSAID\n- Colchicine\nOther") == [
        "Treatment\n- NSAID\n- Colchicine",
        "Other",
    ]
    assert paragraphs("One\ntwo\n\nThree") == ["One\ntwo", "Three"]


def test_the_paragraph_looked_for_comes_first_and_none_is_lost():
    text = "History of gout.\n\nColchicine dose in renal failure.\n\nDiet."
    assert put_first(text, "renal dose") == (
        f"Colchicine dose in renal failure.\n\n{REST}\n\nHistory of gout.\n\nDiet."
    )
    assert put_first(text, "zzqx") == text
