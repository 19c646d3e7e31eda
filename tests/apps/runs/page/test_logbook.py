"""The log as a page: levels, words, pages and the file."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.urls import reverse

from apps.runs.models import Event
from apps.runs.page import lines
from tests.factories import make_run


@pytest.fixture
def run(db):
    run = make_run(status="done")
    for seq, (text, level) in enumerate(
        [("loading shards", "info"), ("slow disk", "warning"), ("disk FULL", "error")], start=1
    ):
        say(run, seq, "note", {"text": text, "level": level})
    say(run, 4, "status", {"status": "failed", "error": "disk full"})
    say(run, 5, "status", {"status": "queued", "error": ""})
    return run


def say(run, seq, kind, data):
    Event.objects.create(run=run, seq=seq, attempt=1, kind=kind, data=data, at=run.created)


def get(client, run, **query):
    return client.get(reverse("runs:log", args=[run.pk]), query)


def seqs(page):
    return [line.seq for line in page.context["lines"]]


def test_a_level_shows_that_and_what_is_graver(engineer, run):
    assert seqs(get(engineer, run, level="warning")) == [2, 3, 4]
    assert seqs(get(engineer, run, level="error")) == [3, 4]


def test_words_are_searched_on_the_server_and_marked(engineer, run):
    page = get(engineer, run, q="DISK full")
    assert seqs(page) == [3, 4]
    assert "<mark>disk</mark>" in page.content.decode()


def test_a_word_with_a_percent_sign_is_itself(engineer, run):
    assert seqs(get(engineer, run, q="%")) == []


def test_the_first_error_is_one_click_away(engineer, run):
    page = get(engineer, run)
    assert page.context["first_error"] == 3
    assert 'href="?at=3#line-3"' in page.content.decode()
    assert 'class="error here"' in get(engineer, run, at="3").content.decode()


def test_pages_go_both_ways(engineer, run, monkeypatch):
    monkeypatch.setattr(lines, "PAGE", 2)
    assert [line.seq for line in lines.before(run, 4, limit=2)] == [2, 3]
    assert [line.seq for line in lines.around(run, 3, limit=2)] == [2, 3]
    page = get(engineer, run, before="3")
    assert (seqs(page), page.context["has_newer"]) == ([1, 2], True)
    assert "data-follow" not in page.content.decode()


def test_an_ended_run_is_shown_to_its_end_and_asks_for_no_more(engineer, run):
    page = get(engineer, run).content.decode()
    assert "data-follow" in page
    assert "log-more" not in page


def test_following_can_be_switched_off(engineer):
    going = make_run(status="running")
    assert "log-more" in get(engineer, going).content.decode()
    assert "log-more" not in get(engineer, going, still="1").content.decode()


def test_the_log_leaves_as_text(engineer, run):
    answer = engineer.get(reverse("runs:log_text", args=[run.pk]), {"level": "error"})

    async def read():
        return [piece async for piece in answer.streaming_content]

    text = b"".join(async_to_sync(read)()).decode()
    assert text.splitlines()[0].endswith("disk FULL")
    assert len(text.splitlines()) == 2


def test_what_is_said_is_text_and_nothing_else(engineer, run):
    say(run, 6, "note", {"text": "<script>alert(1)</script>"})
    assert "<script>alert" not in get(engineer, run, q="script").content.decode()


def test_marks_are_found_whatever_their_case_and_order():
    assert lines.marked("A disk, a Disk", ["disk"]) == (
        ("A ", False),
        ("disk", True),
        (", a ", False),
        ("Disk", True),
    )


def test_a_line_says_the_time_of_day(engineer, run):
    clock = lines.tail(run)[0].clock
    assert len(clock) == 8
    assert f">{clock}</time>" in get(engineer, run).content.decode()
