from __future__ import annotations

import pytest

from tests.apps.runs.storage.test_tidying import make_old_run

pytestmark = pytest.mark.django_db


def test_without_rules_the_page_says_how_to_set_one(admin):
    page = admin.get("/storage/").content.decode()
    assert "Everything is kept for good" in page
    assert "KOS_RETENTION=" in page


def test_the_page_shows_what_would_go_and_deletes_nothing(admin, settings):
    settings.RETENTION = {"checkpoints": {"days": 14}}
    run = make_old_run(name="<b>night</b>")
    page = admin.get("/storage/").content.decode()
    assert "over for 100 days, 14 are kept" in page
    assert f"&lt;b&gt;night&lt;/b&gt; (run {run.pk})" in page
    assert (run.folder / "checkpoint").exists()


def test_the_button_deletes_it(admin, settings):
    settings.RETENTION = {"checkpoints": {"days": 14}}
    run = make_old_run()
    page = admin.post("/storage/tidy/", follow=True).content.decode()
    assert "1 deleted, 1000" in page
    assert not (run.folder / "checkpoint").exists()


def test_rules_that_are_none_are_said_on_the_page(admin, settings):
    settings.RETENTION = {"chats": {"days": 1}}
    assert "which is no kind" in admin.get("/storage/").content.decode()
    assert "which is no kind" in admin.post("/storage/tidy/", follow=True).content.decode()


def test_the_api_has_the_same_numbers(admin, settings):
    settings.RETENTION = {"checkpoints": {"days": 14}}
    make_old_run()
    items = admin.get("/api/runs/storage").json()["items"]
    [found] = [one for one in items if one["num_going"]]
    assert (found["kind"], found["days"], found["going_bytes"]) == ("checkpoints", 14, 1000)
    assert admin.post("/api/runs/storage/tidy").json() == [
        {"kind": "checkpoints", "num": 1, "size_bytes": 1000, "num_left": 0}
    ]


def test_it_is_no_business_of_engineers(engineer):
    assert engineer.get("/storage/").status_code == 403
    assert engineer.get("/api/runs/storage").status_code == 403


def test_many_runs_take_no_more_queries(admin, settings, django_assert_max_num_queries):
    settings.RETENTION = {name: {"days": 14} for name in ("checkpoints", "events", "traces")}
    for _ in range(8):
        make_old_run()
    with django_assert_max_num_queries(45):
        admin.get("/storage/")
