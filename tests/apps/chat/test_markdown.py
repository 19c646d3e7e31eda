from __future__ import annotations

import pytest

from apps.chat.markdown import Cited, citations, render, split

TEXT = """# Gout

First *this*.

- one
- two

| a | b |
|---|---|
| 1 | 2 |

```
code

more
```

Last line"""
CITED = Cited({"S1", "S2"}, lambda name: f"/source/{name}/")


def test_markdown_becomes_html_below_the_page_s_own_headings():
    html = render("# Gout\n\n**Rest** and ~~wait~~ [see](https://x.org)\n\n1. a\n2. b")
    assert "<h3>Gout</h3>" in html
    assert "<strong>Rest</strong>" in html
    assert 'href="https://x.org" rel="noopener noreferrer nofollow"' in html


def test_a_table_keeps_its_cells():
    assert "<td>1</td>" in render("| a |\n|:-:|\n| 1 |")


@pytest.mark.parametrize(
    ("hostile", "gone"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("<img src=x onerror=alert(1)>", "<img"),
        ("[a](javascript:alert(1))", "<a"),
        ("[a](JaVaScRiPt:alert(1))", "<a"),
        ("[a](data:text/html;base64,PHNjcmlwdD4=)", "<a"),
        ("[a](vbscript:x)", "<a"),
        ("[a](//evil.example/x)", "<a"),
        ("[a](/tokens/)", "<a"),
        ("![a](https://x.org/track.png)", "<img"),
        ("![a](https://x.org/track.png)", "x.org"),
        ("![a][b]\n\n[b]: https://x.org/track.png", "<img"),
        ("[![a](https://x.org/t.png)](https://x.org)", "<img"),
        ("<div style='position:fixed'>x</div>", "<div"),
        ('<https://x.org/" onclick=alert(1)>', "<a"),
        ('[a](https://x.org "onmouseover=alert(1)")', "title="),
        ("| a |\n|:-:|\n| 1 |", "style"),
        ("```html\n<script>alert(1)</script>\n```", "<script"),
        ('```js" onclick="alert(1)\nx\n```', "onclick"),
        ("a<!-- <script> -->b", "<!--"),
        ("<svg/onload=alert(1)>", "<svg"),
        ("<iframe src=https://x.org>", "<iframe"),
        ("<form action=https://x.org><button>Send</button></form>", "<form"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "<script"),
        ("[S1]: https://evil.example\n\nSee [S1].", "<a"),
    ],
)
def test_hostile_text_is_cleaned(hostile, gone):
    assert gone not in render(hostile)


def test_a_citation_becomes_a_link_to_its_passage():
    html = render("Rest [S1].", CITED)
    assert '<a class="cite" href="/source/S1/" data-source>' in html


def test_several_citations_in_one_bracket_are_links_each():
    assert render("Rest [S1, S2; S1] now.", CITED).count('class="cite"') == 3
    assert citations("Rest [S1; 2] and [S2][S7].") == ["S1", "S2", "S7"]


def test_an_id_that_was_not_retrieved_is_marked_and_leads_nowhere():
    html = render("Rest [S9].", CITED)
    assert '<span class="cite unknown"' in html
    assert "href" not in html


@pytest.mark.parametrize(
    "text", ["`[S1]`", "```\n[S1]\n```", "[see [S1] there](https://x.org)", "[S1](https://x.org)"]
)
def test_a_bracket_in_code_or_a_link_is_no_citation(text):
    assert "cite" not in render(text, CITED)


@pytest.mark.parametrize(
    "text",
    [
        "[S1]: https://evil.example\n\nRest [S1].",
        "[S1]: javascript:alert(1)\n\nRest [S1].",
        'Rest [S1]. <a class="cite" href="https://evil.example">S1</a>',
    ],
)
def test_a_text_cannot_say_where_its_citations_lead(text):
    html = render(text, CITED)
    assert '<a class="cite" href="/source/S1/"' in html
    assert html.count("<a ") == html.count('href="/source/')


def test_an_address_with_a_quote_stays_in_its_attribute():
    html = render("[S1]", Cited({"S1"}, lambda name: '/x/"onclick="y'))
    assert "&quot;onclick=&quot;" in html


def test_every_beginning_of_a_text_parts_without_loss():
    for end in range(len(TEXT) + 1):
        finished, tail = split(TEXT[:end])
        assert finished + tail == TEXT[:end]


def test_finished_blocks_join_to_the_whole():
    shown, done = "", 0
    for end in range(len(TEXT) + 1):
        finished, _ = split(TEXT[done:end])
        shown += render(finished) if finished else ""
        done += len(finished)
    assert shown + render(TEXT[done:]) == render(TEXT)


def test_an_open_block_stays_in_the_tail():
    assert split("First.\n\n```\ncode\n\nmore") == ("First.\n\n", "```\ncode\n\nmore")
