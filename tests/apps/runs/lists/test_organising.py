"""Names, tags, notes, the archive, and many runs at once."""

from __future__ import annotations

import pytest

from apps.runs import events, services
from apps.runs.lists import organising
from apps.runs.models import Run, Status
from kos.errors import UserError
from tests.factories import make_run, make_user
from workers import journal


def said(run: Run) -> list[str]:
    return [event.data["text"] for event in run.events.filter(kind=organising.EDIT)]


def test_tags_are_kept_in_small_letters_and_once(db):
    run = make_run()
    assert organising.tag([run], add=["Best  One", "best one", "v2"]) == 1
    run.refresh_from_db()
    assert run.tags == ["best one", "v2"]
    assert said(run) == ["tagged best one, v2"]


def test_a_tag_that_is_there_already_changes_nothing(db):
    run = make_run(tags=["v2"])
    assert organising.tag([run], add=["v2"]) == 0
    assert said(run) == []


def test_tags_come_off_again(db):
    run = make_run(tags=["v1", "v2"])
    assert organising.tag([run], remove=["v1"]) == 1
    run.refresh_from_db()
    assert run.tags == ["v2"]


@pytest.mark.parametrize("tag", ["", "  ", "x" * 41, "a,b"])
def test_a_tag_that_does_not_fit_is_refused(db, tag):
    with pytest.raises(UserError):
        organising.tag([make_run()], add=[tag])


def test_too_many_tags_change_no_run_at_all(db):
    few, full = make_run(), make_run(tags=[f"t{number}" for number in range(20)])
    with pytest.raises(UserError, match="21 tags"):
        organising.tag([few, full], add=["one more"])
    few.refresh_from_db()
    assert few.tags == []


def test_a_stale_row_does_not_lose_somebody_elses_tag(db):
    run = make_run()
    organising.tag([Run.objects.get(pk=run.pk)], add=["theirs"])
    organising.tag([run], add=["mine"])
    run.refresh_from_db()
    assert run.tags == ["theirs", "mine"]


def test_a_new_name_is_said_in_the_log(db):
    run = make_run(name="old")
    organising.rename(run, "  new   name ")
    run.refresh_from_db()
    assert run.name == "new name"
    assert said(run) == ["renamed from old to new name"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 121])
def test_a_name_that_does_not_fit_is_refused(db, name):
    with pytest.raises(UserError):
        organising.rename(make_run(), name)


def test_notes_are_kept_and_taken_away(db):
    run = make_run()
    organising.note(run, " tried a lower rate \n")
    run.refresh_from_db()
    assert run.notes == "tried a lower rate"
    organising.note(run, "")
    run.refresh_from_db()
    assert (run.notes, said(run)) == ("", ["notes changed", "notes taken away"])


def test_only_what_ended_goes_into_the_archive(db):
    done, going = make_run(status="done"), make_run(status="running")
    assert organising.archive([done, going]) == 1
    assert organising.archive([done], False) == 1
    done.refresh_from_db()
    assert not done.is_archived


def test_stopping_and_resuming_many_counts_those_that_could_be(db):
    owner = make_user()
    waiting = services.launch(owner, "base", {})
    done = make_run(status="done")
    assert organising.stop_all([waiting, done]) == 1
    waiting.refresh_from_db()
    assert waiting.status == Status.CANCELLED
    assert organising.resume_all([waiting, done]) == 1


def test_an_edit_does_not_hide_a_line_of_the_job(db):
    """The journal counts what a job said; what people say meanwhile is not the job's."""
    run = services.launch(make_user(), "base", {})
    held = services.claim(run.pk, "w", lease_seconds=60)
    path = journal.path_of(held, held.attempt)
    path.parent.mkdir(parents=True)
    line = b'{"at": 1, "data": {"kind": "note", "text": "said", "level": "info"}}\n'
    path.write_bytes(line)
    organising.rename(held, "another name")
    assert journal._left_over(held, path) == [line]


def test_the_newest_runs_tags_are_offered(db):
    make_run(tags=["b", "a"])
    assert organising.known_tags() == ["a", "b"]


def test_an_edit_moves_what_watchers_hear(db):
    run = make_run()
    organising.rename(run, "x")
    assert events.lock(run.pk).last_seq == 1
