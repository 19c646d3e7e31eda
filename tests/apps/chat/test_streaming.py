from __future__ import annotations

from apps.chat.services import Draft
from apps.chat.streaming import View

RUNNING = {
    "call": {"id": "1", "name": "look_up", "arguments": '{"query": "<b>gout</b>"}'},
    "is_running": True,
}
DONE = RUNNING | {"is_running": False, "observation": "Rest.", "mode": "embedded", "seconds": 0.1}


def test_a_view_sends_finished_blocks_once():
    view = View(1, 7)
    first = view.frame(Draft("One.\n\nTw", "why", 3, 1.0))
    second = view.frame(Draft("One.\n\nTwo.\n\nThr", "why not", 6, 2.0))
    assert (first["is_first"], first["blocks"], first["tail"]) == (True, "<p>One.</p>\n", "Tw")
    assert (second["is_first"], second["blocks"], second["tail"]) == (
        False,
        "<p>Two.</p>\n",
        "Thr",
    )
    assert (first["thinking"], second["thinking"]) == ("why", " not")


def test_a_card_is_sent_when_it_begins_and_when_it_ends():
    view = View(1, 7)
    first, second, third = (
        view.frame(Draft("", "", 0, 1.0, tools=tools))["calls"]
        for tools in ([RUNNING], [RUNNING], [DONE])
    )
    assert "running" in first[0]
    assert second == []
    assert "embedded" in third[0]
    assert "&lt;b&gt;gout&lt;/b&gt;" in first[0]


def test_what_is_void_is_sent_anew():
    view = View(1, 7)
    view.frame(Draft("One.\n\nTwo", "", 1, 1.0))
    again = view.frame(Draft("Ano", "why", 2, 2.0, epoch=1))
    assert (again["is_first"], again["tail"], again["thinking"]) == (True, "Ano", "why")


def test_citations_are_links_while_an_answer_grows():
    source = {"id": "S1", "title": "", "url": "", "text": "", "provenance": {}}
    frame = View(3, 7).frame(Draft("Rest [S1].\n\nMore", "", 1, 1.0, sources=[source]))
    assert 'href="/chat/3/source/7/S1/"' in frame["blocks"]
