from __future__ import annotations

import pytest

from apps.chat.markdown import render, split

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
        ("![a](https://x.org/track.png)", "<img"),
        ("<div style='position:fixed'>x</div>", "<div"),
        ('<https://x.org/" onclick=alert(1)>', "<a"),
        ("| a |\n|:-:|\n| 1 |", "style"),
        ("```html\n<script>alert(1)</script>\n```", "<script"),
        ("a<!-- <script> -->b", "<!--"),
    ],
)
def test_hostile_text_is_cleaned(hostile, gone):
    assert gone not in render(hostile)


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
