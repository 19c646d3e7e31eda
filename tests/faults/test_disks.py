"""A full disk ends the run with a sentence; what was finished stays, and the run goes on later."""

from __future__ import annotations

import pytest

from apps.runs import services
from apps.runs.models import Run, Status
from workers import tasks


@pytest.fixture
def tight(small_disk, settings):
    """The artifacts' own disk of eight megabytes."""
    settings.ARTIFACTS = small_disk.folder / "artifacts"
    return small_disk


@pytest.mark.django_db(transaction=True)
def test_a_job_that_fills_the_disk_says_so_and_is_resumed(tight, make_job, monkeypatch):
    run = make_job("fill_disk")
    tasks.execute(run.pk)
    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert run.error.startswith(f"the disk that holds {run.folder} is full (0 MiB free)")
    (run.folder / "ballast").unlink()
    monkeypatch.setitem(tasks.WORK, "train", "tests.workers.fake_jobs:answer")
    services.resume(run)
    tasks.execute(run.pk)
    assert Run.objects.get(pk=run.pk).status == Status.DONE


@pytest.mark.django_db(transaction=True)
def test_a_disk_that_is_full_before_the_job_begins_is_named_too(tight, make_job):
    run = make_job("answer")
    tight.fill()
    tasks.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.error.split(" (")[0][-7:]) == (Status.FAILED, "is full")


def test_another_fault_is_not_taken_for_a_full_disk(tmp_path):
    from kos.files import no_room

    assert no_room(PermissionError(13, "Permission denied"), tmp_path) == ""
    assert no_room(ValueError("the answer is full of errors"), tmp_path / "not/there") == ""
