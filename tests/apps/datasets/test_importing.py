"""Long files, the dry run, and what is wrong in them."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.datasets import importing, work
from apps.datasets.models import DatasetVersion, Work
from tests.apps.datasets.test_views import row, upload


@pytest.fixture(autouse=True)
def uploads(tmp_path, settings):
    settings.VAR = tmp_path


@pytest.fixture
def spawned(monkeypatch) -> list[Work]:
    found: list[Work] = []
    monkeypatch.setattr(importing, "SHORT_BYTES", 10)
    monkeypatch.setattr(work, "spawn", found.append)
    monkeypatch.setattr("django.db.transaction.on_commit", lambda do: do())
    return found


def send(client, *rows, **more):
    form = {"name": "mine", "file": upload(*rows)} | more
    return client.post(reverse("datasets:import"), form)


def test_a_dry_run_shows_counts_and_the_first_rows_and_keeps_nothing(engineer):
    report = send(engineer, *(row(f"r{number}") for number in range(30))).context["report"]
    assert (report["num_tasks"], report["num_items"], report["num_judged"]) == (30, 60, 30)
    assert len(report["rows"]) == importing.SHOWN_ROWS
    assert report["splits"] == [("train", 30)]
    assert not DatasetVersion.objects.exists()


def test_a_long_file_is_read_and_kept_by_processes(engineer, spawned):
    page = send(engineer, row("a"), "not json", note="First batch")
    assert page.headers["Location"] == reverse("datasets:work", args=[spawned[0].pk])
    work.carry_out(spawned[0], importing.do_read)
    preview = engineer.get(page.headers["Location"])
    assert preview.context["problems"][0]["line"] == 2
    engineer.post(reverse("datasets:save"), {"ticket": preview.context["ticket"]})
    work.carry_out(spawned[1], importing.do_keep)
    version = DatasetVersion.objects.get()
    assert (version.dataset.name, version.note) == ("mine", "First batch")


def test_every_line_that_is_wrong_can_be_downloaded(engineer, reviewer):
    page = send(engineer, row("a"), *["=broken"] * 60)
    path = reverse("datasets:problems", args=[page.context["work"].pk])
    lines = engineer.get(path).content.decode().splitlines()
    assert len(lines) == 61
    assert reviewer.get(path).status_code == 403


def test_the_same_rows_again_are_said_to_be_there(engineer):
    for _ in range(2):
        ticket = send(engineer, row("a")).context["ticket"]
        page = engineer.post(reverse("datasets:save"), {"ticket": ticket}, follow=True)
    assert "holds exactly these rows already" in page.content.decode()
    assert DatasetVersion.objects.count() == 1
