from __future__ import annotations

from tests.apps.datasets.test_views import row, task, upload
from tests.factories import make_version


def test_versions_are_listed_newest_first(reviewer):
    older, newer = make_version(task("a")), make_version(task("b"), task("c"))
    rows = reviewer.get("/api/datasets/").json()["items"]
    assert [found["id"] for found in rows] == [newer.pk, older.pk]
    assert rows[0]["num_examples"] == 2


def test_an_import_names_the_lines_it_left_out(engineer):
    response = engineer.post("/api/datasets/", {"name": "mine", "file": upload(row("a"), "{}")})
    assert response.status_code == 201
    assert response.json()["problems"][0]["line"] == 2


def test_a_reviewer_reads_and_does_not_import(reviewer):
    response = reviewer.post("/api/datasets/", {"name": "mine", "file": upload(row("a"))})
    assert response.status_code == 403


def test_an_unknown_version_is_404(engineer):
    assert engineer.get("/api/datasets/12345/").status_code == 404


def test_whoever_has_an_account_writes_in_drafts_and_engineers_publish(clinician):
    draft = clinician.post("/api/datasets/drafts", {"name": "Mine"}, "application/json").json()
    place = f"/api/datasets/drafts/{draft['id']}"
    assert clinician.post(f"{place}/examples", {}, "application/json").status_code == 201
    publish = clinician.post(f"{place}/publish", {"note": "First."}, "application/json")
    assert publish.status_code == 403
    assert clinician.delete(place).status_code == 204


def test_the_draft_of_another_is_discarded_by_engineers_alone(clinician, reviewer, engineer):
    draft = reviewer.post("/api/datasets/drafts", {"name": "Mine"}, "application/json").json()
    place = f"/api/datasets/drafts/{draft['id']}"
    assert clinician.delete(place).status_code == 403
    assert engineer.delete(place).status_code == 204


def test_the_sample_set_is_loaded_by_engineers(engineer, clinician):
    assert clinician.post("/api/datasets/sample").status_code == 403
    assert engineer.post("/api/datasets/sample").json()["is_demonstration"] is True
