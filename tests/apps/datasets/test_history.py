"""Pages of what became of a dataset."""

from __future__ import annotations

from django.urls import reverse

from tests.apps.datasets.test_diffing import pair
from tests.apps.datasets.test_transfer import body
from tests.apps.datasets.test_views import task
from tests.factories import make_version


def test_a_diff_opens_for_those_with_an_account_and_is_read_only(clinician, engineer, stranger):
    old, new = pair([task("a")], [task("a", text="Else?")])
    path = reverse("datasets:diff", args=[old.pk, new.pk])
    page = clinician.get(path)
    assert "<ins>Else</ins>" in page.content.decode()
    assert stranger.get(path).headers["Location"].startswith("/sign-in/")
    assert engineer.post(path).status_code == 405


def test_versions_of_two_datasets_have_no_diff(engineer):
    old, new = make_version(task("a")), make_version(task("b"))
    assert engineer.get(reverse("datasets:diff", args=[old.pk, new.pk])).status_code == 404


def test_two_versions_are_chosen_by_number(engineer):
    old, new = pair([task("a")], [task("b")])
    path = reverse("datasets:choose_diff", args=[old.dataset_id])
    page = engineer.get(path, {"old": "1", "new": "2"})
    assert page.headers["Location"] == reverse("datasets:diff", args=[old.pk, new.pk])
    assert engineer.get(path, {"old": "1", "new": "9"}).status_code == 404


def test_benchmark_text_is_not_in_a_diff(engineer):
    old, new = pair([task("a", text="secret one")], [task("a", text="secret two")])
    new.is_restricted = True
    new.save(update_fields=["is_restricted"])
    page = engineer.get(reverse("datasets:diff", args=[old.pk, new.pk])).content.decode()
    assert "secret" not in page
    export = engineer.get(reverse("datasets:diff_export", args=[old.pk, new.pk]))
    assert body(export) == ""


def test_a_diff_is_exported_by_engineers(engineer, reviewer):
    old, new = pair([task("a")], [task("a"), task("b")])
    path = reverse("datasets:diff_export", args=[old.pk, new.pk])
    assert '"change": "added"' in body(engineer.get(path))
    assert reviewer.get(path).status_code == 403
