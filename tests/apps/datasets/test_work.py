"""Work that takes long: begun once, carried out by a process, watched on a page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from apps.datasets import work
from apps.datasets.models import DatasetVersion, Work
from kos.errors import UserError
from tests.apps.datasets.test_views import task
from tests.factories import make_user, make_version


def fail(found, told):
    make_version(task("a"))
    raise UserError("the file is empty")


def make(**fields) -> Work:
    return Work.objects.create(kind=Work.Kind.REPEATS, **fields)


def test_what_fails_leaves_its_sentence_and_nothing_else(db):
    with pytest.raises(UserError, match="the file is empty"):
        work.start(Work.Kind.READ, fail, by=None)
    found = Work.objects.get()
    assert (found.status, found.error) == ("failed", "the file is empty")
    assert not DatasetVersion.objects.exists()


def test_work_is_carried_out_once(db):
    found = make()
    for answer in (1, 2):
        work.carry_out(found, lambda found, told, answer=answer: {"answer": answer})
    found.refresh_from_db()
    assert found.result == {"answer": 1}


def test_the_command_carries_work_out(transactional_db):
    version = make_version(task("a"), task("b"))
    found = make(version=version)
    call_command("dataset_work", found.pk)
    found.refresh_from_db()
    assert (found.status, found.result["num_exact"]) == ("done", 1)
    with pytest.raises(CommandError, match="no work"):
        call_command("dataset_work", 0)


def test_progress_is_written_now_and_then_over_a_connection_of_its_own(
    transactional_db, monkeypatch
):
    monkeypatch.setattr(work, "SAID_EVERY_SECONDS", 1000)
    found = make()
    report = work.Report(found)
    report(5, 10)
    report(6, 10)
    report.close()
    found.refresh_from_db()
    assert (found.num_done, found.num_total) == (5, 10)


def test_a_process_that_is_not_heard_is_said_to_be_silent(db):
    found = make()
    assert not work.is_silent(found)
    found.touched = timezone.now() - timedelta(minutes=2)
    assert work.is_silent(found)


def test_its_page_shows_how_far_it_is_to_its_maker_and_to_engineers(
    engineer, clinician, reviewer, stranger
):
    found = make(by=clinician.user, status="running", num_done=5, num_total=10)
    path = reverse("datasets:work", args=[found.pk])
    for persona in (engineer, clinician):
        assert "5 of 10" in persona.get(path).content.decode()
    assert reviewer.get(path).status_code == 404
    assert stranger.get(path).headers["Location"].startswith("/sign-in/")
    assert engineer.post(path).status_code == 405


def test_finished_work_leads_to_what_it_made(engineer):
    version = make_version(task("a"))
    found = make(
        status="done", by=make_user(), result={"version": version.pk, "said": "It stands."}
    )
    page = engineer.get(reverse("datasets:work", args=[found.pk]))
    assert page.headers["Location"] == reverse("datasets:detail", args=[version.pk])
