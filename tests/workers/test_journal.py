from __future__ import annotations

import json

import pytest

from apps.runs import events, services
from tests.factories import make_run
from workers import journal

pytestmark = pytest.mark.django_db


def line(text):
    return json.dumps({"at": 1.0, "data": {"kind": "note", "text": text}}).encode() + b"\n"


@pytest.fixture
def second_attempt():
    """A run whose first attempt kept one of its three lines, and half a fourth."""
    run = services.claim(make_run().pk, "one", lease_seconds=60)
    events.append(run.pk, 1, [events.new("note", text="a")], lease_seconds=60)
    path = journal.path_of(run, 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(line("a") + line("b") + line("c") + b'{"at": 1.0, "da')
    services.finish(run.pk, 1, "lost")
    return services.claim(run.pk, "two", lease_seconds=60)


def test_lines_that_never_reached_the_log_are_taken_over(second_attempt):
    assert journal.take_over(second_attempt) == [line("b"), line("c")]
    ours = journal.path_of(second_attempt, 2).read_bytes()
    assert ours == line("b") + line("c")


def test_a_third_attempt_finds_them_if_the_second_died_at_once(second_attempt):
    journal.take_over(second_attempt)
    services.finish(second_attempt.pk, 2, "lost")
    third = services.claim(second_attempt.pk, "three", lease_seconds=60)
    assert journal.take_over(third) == [line("b"), line("c")]


def test_an_attempt_that_died_before_its_journal_hides_nothing(second_attempt):
    services.finish(second_attempt.pk, 2, "lost")
    third = services.claim(second_attempt.pk, "three", lease_seconds=60)
    assert journal.take_over(third) == [line("b"), line("c")]


def test_a_first_attempt_takes_nothing_over():
    run = services.claim(make_run().pk, "one", lease_seconds=60)
    assert journal.take_over(run) == []


def test_journals_go_when_every_line_is_in_the_log(second_attempt):
    journal.take_over(second_attempt)
    journal.clear(second_attempt)
    assert list(journal.path_of(second_attempt, 0).parent.iterdir()) == []


def test_what_is_no_event_is_left_behind():
    run = services.claim(make_run().pk, "one", lease_seconds=60)
    path = journal.path_of(run, 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"at": 1.0, "data": {"kind": "song"}}\n' + line("a"))
    services.finish(run.pk, 1, "lost")
    assert journal.take_over(services.claim(run.pk, "two", lease_seconds=60)) == [line("a")]
