"""Prompts of a version that say the same."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.datasets import repeats
from apps.datasets.models import Work
from tests.apps.datasets.test_transfer import TEXT
from tests.apps.datasets.test_views import task
from tests.factories import make_version


@pytest.fixture
def version(db):
    return make_version(
        task("a", text=TEXT), task("b", text="Else?"), task("c", text=f"{TEXT} what now")
    )


def test_repeats_are_found_once_and_kept(version):
    found = repeats.look(version)
    assert (found.result["num_exact"], found.result["num_near"]) == (0, 1)
    assert repeats.look(version) == found
    keys = {row.external_id: row.pk for row in version.examples.all()}
    assert repeats.of_example(version, "c") == [(keys["a"], "a", 1.0, False)]
    assert repeats.of_example(version, "b") == []


def test_a_page_offers_to_look_and_then_links_both(version, clinician, stranger):
    path = reverse("datasets:repeats", args=[version.pk])
    assert "Nobody has looked yet" in clinician.get(path).content.decode()
    page = clinician.post(path, follow=True)
    assert [side[1] for side in page.context["rows"][0]["sides"]] == ["a", "c"]
    assert stranger.get(path).headers["Location"].startswith("/sign-in/")


def test_repeats_of_benchmarks_are_shown_without_their_text(engineer):
    version = make_version(task("a", text=TEXT), task("b", text=TEXT), is_restricted=True)
    path = reverse("datasets:repeats", args=[version.pk])
    page = engineer.post(path, follow=True).content.decode()
    assert "word for word" in page
    assert "warfarin" not in page


def test_a_large_version_is_looked_through_by_a_process(version, monkeypatch, clinician):
    spawned = []
    monkeypatch.setattr("apps.datasets.work.spawn", spawned.append)
    monkeypatch.setattr(repeats, "SHORT", 1)
    monkeypatch.setattr("django.db.transaction.on_commit", lambda do: do())
    page = clinician.post(reverse("datasets:repeats", args=[version.pk]))
    work = Work.objects.get()
    assert spawned == [work]
    assert page.headers["Location"] == reverse("datasets:work", args=[work.pk])
