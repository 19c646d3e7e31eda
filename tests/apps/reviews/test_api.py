"""Reviews over REST: what the pages of queues, disputes and agreement do."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from apps.accounts import services as accounts
from apps.accounts.models import Scope
from apps.datasets.models import LabelSet
from apps.evals.models import Judge
from apps.reviews.models import Item, Queue
from tests.apps.reviews.conftest import SECRET, make_graded, make_queue

JSON = "application/json"


@pytest.fixture
def queue(db) -> Queue:
    return make_queue(make_graded(True, False), make_graded(False))


@pytest.fixture
def item(queue) -> Item:
    return queue.items.first()


def test_a_rule_is_tried_before_a_queue_is_made(admin, reviewer):
    make_graded(None)
    body = {"rule": {"ungraded": True}, "size": 10}
    found = admin.post("/api/reviews/preview", body, content_type=JSON).json()
    assert found == {
        "num_scope": 1,
        "num_matched": 1,
        "num_taken": 1,
        "reasons": {"ungraded item": 1},
    }
    assert not Queue.objects.exists()
    assert reviewer.post("/api/reviews/preview", body, content_type=JSON).status_code == 403


def test_a_queue_is_changed_as_on_its_page(admin, queue):
    path = f"/api/reviews/{queue.pk}"
    body = {"name": "Renamed", "overlap": 2, "rule": {"penalties": True}, "status": "closed"}
    assert admin.patch(path, body, content_type=JSON).json()["overlap"] == 2
    queue.refresh_from_db()
    assert (queue.name, queue.rule, queue.status) == ("Renamed", {"penalties": True}, "closed")
    assert queue.size == 60


def test_a_change_that_cannot_be_is_refused_whole(admin, queue):
    other = make_queue(name="taken")
    path = f"/api/reviews/{queue.pk}"
    for body in ({"name": other.name}, {"rule": {}}, {"people": ["nobody"], "size": 9}):
        assert admin.patch(path, body, content_type=JSON).status_code == 409, body
    queue.refresh_from_db()
    assert (queue.size, queue.name) == (60, "queue of 2")


def test_verdicts_of_an_open_item_stay_unseen(reviewer, item):
    refused = reviewer.get(f"/api/reviews/items/{item.pk}/verdicts")
    assert (refused.status_code, SECRET in refused.content.decode()) == (409, False)


def test_a_dispute_shows_every_verdict(reviewer, engineer, ann, item, review):
    review(item, ann, "unsure", "not_met")
    path = f"/api/reviews/items/{item.pk}/verdicts"
    found = reviewer.get(path).json()
    assert (found["status"], found["can_settle"]) == ("disputed", True)
    assert [line["is_disputed"] for line in found["lines"]] == [True, False]
    [verdict] = found["lines"][0]["verdicts"]
    assert (verdict["reviewer"], verdict["met"]) == ("ann", "unsure")
    assert SECRET in json.dumps(found)
    assert engineer.get(path).status_code == 403


def test_corrections_wait_to_be_accepted(reviewer, ann, item, review):
    review(item, ann, "not_met", "not_met")
    found = reviewer.get(f"/api/reviews/items/{item.pk}/verdicts").json()
    [correction] = found["corrections"]
    assert (found["status"], correction["met"], correction["by"]) == ("proposed", False, "ann")
    assert found["can_settle"] is False


def test_a_judge_stands_beside_the_reviewers(engineer, ann, item, review):
    judge = Judge.objects.create(name="Test", url="http://judge", model="test")
    review(item, ann, "not_met", "not_met")
    [row] = engineer.get("/api/reviews/judges").json()["items"]
    assert row == {"judge": judge.pk, "name": "Test", "num_labels": 2}
    body = engineer.get(f"/api/reviews/judges/{judge.pk}/agreement").json()
    assert (body["num_verdicts"], body["grader"]["both"]) == (2, 0)
    assert engineer.get("/api/reviews/judges/99999/agreement").status_code == 404


def test_labels_are_kept_by_engineers_as_on_the_page(engineer, reviewer, ann, item, review):
    path = f"/api/reviews/{item.queue_id}/labels"
    review(item, ann, "met", "not_met")
    assert reviewer.post(path).status_code == 403
    assert engineer.post(path).json()["id"] == LabelSet.objects.get().pk


def test_each_call_is_for_those_who_may(clinician, engineer, queue, item):
    token = accounts.create_token(engineer.user, "chat", scopes=[Scope.CHAT_READ]).text
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("judges", "judges/1/agreement", f"items/{item.pk}/verdicts"):
        assert Client().get(f"/api/reviews/{path}").status_code == 401, path
        assert clinician.get(f"/api/reviews/{path}").status_code == 403, path
        assert Client().get(f"/api/reviews/{path}", headers=headers).status_code == 403, path
