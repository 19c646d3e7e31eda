from __future__ import annotations

import pytest

from apps.runs.models import Run
from apps.runs.operations import waiting, workers
from tests.factories import make_run

HTMX = {"HX-Request": "true"}
POSTS = ("move", "priority", "cancel", "put-back")


@pytest.fixture
def two(db) -> list[Run]:
    return [make_run("train", name=name) for name in ("one", "two")]


@pytest.mark.parametrize("path", ["/queue/", "/workers/"])
def test_the_pages_are_for_engineers(engineer, clinician, reviewer, stranger, path):
    assert engineer.get(path).status_code == 200
    assert {clinician.get(path).status_code, reviewer.get(path).status_code} == {403}
    assert "/sign-in/" in stranger.get(path).headers["Location"]
    assert engineer.post(path).status_code == 405


@pytest.mark.parametrize("action", POSTS)
def test_the_actions_are_for_engineers_by_post(engineer, clinician, stranger, two, action):
    path = f"/queue/{two[0].pk}/{action}/"
    assert engineer.get(path).status_code == 405
    assert clinician.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]
    assert engineer.post(f"/queue/123456/{action}/", {"where": "up"}).status_code in (302, 404)


def order(queue: str = "gpu") -> list[str]:
    return [run.name for run in waiting.waiting(queue)]


def test_a_run_is_moved_with_and_without_htmx(engineer, two):
    engineer.post(f"/queue/{two[1].pk}/move/", {"where": "up"})
    assert order() == ["two", "one"]
    answer = engineer.post(f"/queue/{two[1].pk}/move/", {"where": "down"}, headers=HTMX)
    assert order() == ["one", "two"]
    assert "<html" not in answer.content.decode()


def test_a_priority_is_set(engineer, two):
    engineer.post(f"/queue/{two[1].pk}/priority/", {"priority": "5"}, headers=HTMX)
    assert order() == ["two", "one"]


@pytest.mark.parametrize("typed", ["much", "", "99999"])
def test_a_priority_that_is_none_says_so(engineer, two, typed):
    answer = engineer.post(f"/queue/{two[1].pk}/priority/", {"priority": typed}, headers=HTMX)
    assert answer.status_code == 409
    assert 'role="alert"' in answer.content.decode()


def test_a_cancelled_run_can_be_put_back(engineer, two):
    answer = engineer.post(f"/queue/{two[0].pk}/cancel/", headers=HTMX)
    assert "one is cancelled." in answer.content.decode()
    assert order() == ["two"]
    engineer.post(f"/queue/{two[0].pk}/put-back/", headers=HTMX)
    assert order() == ["one", "two"]


def test_a_run_that_started_meanwhile_is_not_cancelled_here(engineer):
    run = make_run("train", status="running")
    answer = engineer.post(f"/queue/{run.pk}/cancel/", headers=HTMX)
    assert answer.status_code == 409
    assert Run.objects.get(pk=run.pk).status == "running"


def test_what_has_not_changed_is_not_sent_again(engineer, two):
    seen = engineer.get("/queue/").context["seen"]
    assert engineer.get("/queue/", {"seen": seen}, headers=HTMX).status_code == 204
    waiting.move(two[1], "first")
    assert engineer.get("/queue/", {"seen": seen}, headers=HTMX).status_code == 200


def test_many_who_wait_cost_no_more_queries(engineer, django_assert_max_num_queries):
    for number in range(30):
        make_run("train", name=f"run {number}")
    with django_assert_max_num_queries(12):
        page = engineer.get("/queue/")
    assert "run 29" in page.content.decode()


def test_a_worker_is_shown_with_its_machine(engineer):
    workers.beat("h:1 cpu", host="here", pid=1, queues=["gpu"], device="cpu", slots=1)
    workers.measure("here", lambda: {"cpu": 12.5, "cores": 2, "gpus": []})
    page = engineer.get("/workers/", {"now": "1"}, headers=HTMX).content.decode()
    assert "here" in page
    assert "free" in page


def test_nobody_at_work_says_how_to_start_a_worker(engineer):
    assert "celery -A kosweb worker" in engineer.get("/workers/").content.decode()


@pytest.fixture(autouse=True)
def fresh():
    from django.core.cache import cache

    cache.clear()
