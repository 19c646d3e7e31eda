"""The list of runs: what it costs, what it shows, and many runs at once."""

from __future__ import annotations

import pytest

from apps.runs import services
from apps.runs.figures import metrics
from apps.runs.lists import columns, listing, organising, rows
from apps.runs.models import Run, RunInput, Status
from tests.factories import make_artifact, make_run, make_user, make_version

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def fresh_rows():
    """What was drawn for one test's runs is not the next one's."""
    rows.forget()
    listing._drawn.clear()


def refresh(client, etag="", **query):
    headers = HTMX | ({"If-None-Match": etag} if etag else {})
    return client.get("/runs/", {"rows": "1", **query}, headers=headers)


def test_nothing_new_is_304(engineer):
    run = make_run(status="done")
    etag = engineer.get("/runs/").context["etag"]
    assert refresh(engineer, etag).status_code == 304
    organising.rename(run, "another")
    assert b"another" in refresh(engineer, etag).content


def test_other_filters_are_another_answer(engineer):
    make_run(status="done")
    etag = engineer.get("/runs/").context["etag"]
    assert refresh(engineer, etag, status="failed").status_code == 200


def test_asking_whether_there_is_news_is_three_queries(engineer, django_assert_max_num_queries):
    etag = engineer.get("/runs/").context["etag"]
    # The session, the user, and the look.
    with django_assert_max_num_queries(3):
        refresh(engineer, etag)


def test_no_row_asks_for_itself(engineer, django_assert_max_num_queries):
    owner, version, base = make_user(), make_version(), make_artifact()
    for kind in ("train", "evaluate", "pipeline", "sft") * 5:
        run = make_run(kind, owner=owner, dataset=version, status="running", tags=["a"])
        RunInput.objects.create(run=run, name="base", artifact=base)
    shown = ",".join(columns.COLUMNS)
    # As many for twenty rows as for one: the filters, the menus, one look at the rows.
    with django_assert_max_num_queries(16):
        page = engineer.get("/runs/", {"columns": shown})
    assert len(page.context["rows"]) == 21


def test_rows_are_drawn_once_for_everybody(engineer, admin, django_assert_max_num_queries):
    for _ in range(5):
        make_run(status="done")
    refresh(engineer)
    # Session, user, version, the rows' numbers: nothing is drawn anew.
    with django_assert_max_num_queries(4):
        refresh(admin)


def test_a_training_has_its_curve(engineer):
    run = make_run("train", status="done")
    for step in range(1, 4):
        metrics.record(run, step, {"reward/mean": step / 10}, run.created)
    assert "<polyline" in engineer.get("/runs/").content.decode()


def test_a_waiting_run_says_its_place(engineer):
    for name in ("first", "second"):
        services.launch(engineer.user, "base", {}, name=name)
    page = engineer.get("/runs/").content.decode()
    assert "1st in the queue" in page
    assert "2nd in the queue" in page


def test_more_rows_are_asked_for(engineer):
    Run.objects.bulk_create(
        Run(name=str(number), kind="base", owner=engineer.user, status="done")
        for number in range(60)
    )
    page = engineer.get("/runs/")
    assert (len(page.context["rows"]), page.context["count"]) == (50, 60)
    assert "shown=100" in page.content.decode()
    assert len(engineer.get("/runs/", {"shown": "100"}).context["rows"]) == 60


def test_a_person_keeps_columns_and_density(engineer):
    data = {"column": ["id", "worker"], "density": "compact", "query": "status=done&columns=kind"}
    response = engineer.post("/runs/columns/", data)
    assert response.headers["Location"] == "/runs/?status=done"
    page = engineer.get("/runs/")
    assert page.context["columns"] == ("worker", "id")
    assert page.context["view_query"] == "columns=worker%2Cid"
    engineer.user.refresh_from_db()
    assert engineer.user.density == "compact"


def test_a_wrong_filter_is_said_and_left_out(engineer):
    page = engineer.get("/runs/", {"status": "magic"})
    assert page.status_code == 200
    assert "status is left out" in page.content.decode()


def test_the_filters_answer_with_a_part_and_a_clean_address(engineer):
    response = engineer.get("/runs/", {"q": "x", "kind": ""}, headers=HTMX)
    assert "<html" not in response.content.decode()
    assert response.headers["HX-Push-Url"] == "/runs/?q=x"


def test_a_name_is_text_and_nothing_else(engineer):
    make_run(name="<img src=x onerror=alert(1)>")
    assert "<img src=x" not in engineer.get("/runs/").content.decode()


def bulk(client, action, runs, **data):
    data |= {"action": action, "runs": [run.pk for run in runs]}
    return client.post("/runs/bulk/", data, follow=True)


def test_archived_runs_come_back_with_undo(engineer):
    runs = [make_run(status="done") for _ in range(2)]
    page = bulk(engineer, "archive", runs)
    assert "2 runs archived." in page.content.decode()
    ids = ",".join(str(run.pk) for run in runs)
    engineer.post("/runs/bulk/", {"action": "unarchive", "ids": ids})
    assert not Run.objects.filter(is_archived=True).exists()


def test_undoing_a_tag_leaves_it_where_it_was_before(engineer):
    had, has_not = make_run(tags=["best"]), make_run()
    page = bulk(engineer, "tag", [had, has_not], tag="Best").content.decode()
    assert f'name="ids" value="{has_not.pk}"' in page


def test_many_are_stopped_and_resumed(engineer):
    runs = [services.launch(engineer.user, "base", {}) for _ in range(2)]
    bulk(engineer, "stop", runs)
    assert set(Run.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    bulk(engineer, "resume", runs)
    assert set(Run.objects.values_list("status", flat=True)) == {Status.QUEUED}


@pytest.mark.parametrize("action", ["compare", "magic", "tag"])
def test_a_bulk_action_that_does_not_fit_says_why(engineer, action):
    page = bulk(engineer, action, [make_run()])
    assert 'class="toast error"' in page.content.decode()


def test_two_runs_are_compared(engineer):
    first, second = make_run(), make_run()
    data = {"action": "compare", "runs": [first.pk, second.pk]}
    response = engineer.post("/runs/bulk/", data)
    assert response.headers["Location"].endswith(f"?ids={first.pk},{second.pk}")


@pytest.mark.parametrize("path", ["/runs/bulk/", "/runs/columns/"])
def test_changes_take_only_a_post_of_an_engineer(engineer, clinician, stranger, path):
    assert engineer.get(path).status_code == 405
    assert clinician.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]
