from __future__ import annotations

import json

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.datasets.models import LabelSet
from apps.evals.models import Judge, Override
from apps.reviews import services
from apps.reviews.models import Item, Queue, Review
from apps.traces.models import Trace
from kos.data.labels import of_json
from tests.apps.reviews.conftest import SECRET, make_graded, make_queue
from tests.conftest import Persona
from tests.factories import make_user


@pytest.fixture
def queue(db):
    return make_queue(make_graded(True, False), make_graded(False))


@pytest.fixture
def item(queue):
    return queue.items.first()


@pytest.fixture
def other(db):
    """A second reviewer's browser."""
    return Persona(make_user("other", Role.REVIEWER))


def form_of(item: Item, *words: str, **more: str) -> dict[str, str]:
    grades = item.trace.grades.all()
    return {f"met-{grade.pk}": word for grade, word in zip(grades, words, strict=True)} | more


def path_of(item: Item) -> str:
    return reverse("reviews:item", args=[item.queue_id, item.pk])


def test_pages_by_role(queue, item, engineer, reviewer, admin, clinician, stranger):
    pages = {
        "list": ([], "era"),
        "judges": ([], "era"),
        "agreement": ([queue.pk], "era"),
        "adjudicate": ([queue.pk], "ra"),
        "item": ([queue.pk, item.pk], "ra"),
        "new": ([], "a"),
        "edit": ([queue.pk], "a"),
        "detail": ([queue.pk], "a"),
    }
    people = {"e": engineer, "r": reviewer, "a": admin, "c": clinician}
    for name, (arguments, allowed) in pages.items():
        path = reverse(f"reviews:{name}", args=arguments)
        assert "/sign-in/" in stranger.get(path).headers["Location"]
        for letter, person in people.items():
            wanted = 200 if letter in allowed else 403
            assert person.get(path).status_code == wanted, (name, letter)


def test_actions_are_posts(queue, item, admin):
    for name in ("next", "fill", "turn"):
        assert admin.get(reverse(f"reviews:{name}", args=[queue.pk])).status_code == 405
    assert admin.post(reverse("reviews:list")).status_code == 405


def test_a_blind_item_holds_no_word_of_the_grader(reviewer, queue):
    path = reviewer.post(reverse("reviews:next", args=[queue.pk])).headers["Location"]
    page = reviewer.get(path).content.decode()
    for leak in (SECRET, "judge:test@1", "Grader", "differs", "0.5", "ungraded"):
        assert leak not in page, leak


@pytest.mark.parametrize("state", ["taken by another", "free", "skipped"])
def test_a_blind_item_leaks_in_no_other_state_either(reviewer, other, queue, item, state):
    if state == "taken by another":
        services.claim(item, other.user)
    if state == "skipped":
        services.skip(item, reviewer.user)
    assert SECRET not in reviewer.get(path_of(item)).content.decode()


def test_another_persons_verdict_is_not_shown_before_ones_own(reviewer, other, queue, item):
    Queue.objects.update(overlap=2)
    services.claim(item, other.user)
    other.post(path_of(item), form_of(item, "met", "met", note="their note"))
    reviewer.post(path_of(item), {"action": "take"})
    page = reviewer.get(path_of(item)).content.decode()
    assert "their note" not in page
    assert " checked" not in page


def test_the_api_is_as_blind_as_the_page(reviewer, queue):
    body = reviewer.post(f"/api/reviews/{queue.pk}/next").json()
    assert SECRET not in json.dumps(body)
    assert {line["grader_met"] for line in body["lines"]} == {None}


def test_the_grader_is_revealed_with_the_review(reviewer, item):
    services.claim(item, reviewer.user)
    answer = reviewer.post(path_of(item), form_of(item, "not_met", "not_met", action="compare"))
    page = reviewer.get(answer.headers["Location"]).content.decode()
    assert SECRET in page
    assert "△ differs" in page


def test_submitting_gives_the_next_item_and_then_nothing(reviewer, queue):
    second = queue.items.last()
    path = reviewer.post(reverse("reviews:next", args=[queue.pk])).headers["Location"]
    first = queue.items.first()
    assert path == path_of(first)
    answer = reviewer.post(path, form_of(first, "met", "not_met", action="submit"))
    assert answer.headers["Location"] == path_of(second)
    answer = reviewer.post(path_of(second), form_of(second, "not_met", action="submit"))
    assert answer.headers["Location"] == reverse("reviews:list")


def test_an_incomplete_form_comes_back_as_it_was(reviewer, item):
    services.claim(item, reviewer.user)
    answer = reviewer.post(path_of(item), {**form_of(item, "met", ""), "note": "my note"})
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "No verdict yet on item 2" in page
    assert page.count(" checked") == 1
    assert "my note" in page
    assert SECRET not in page


def test_an_open_queue_shows_the_grader_at_once(reviewer, item):
    Queue.objects.update(is_blind=False)
    services.claim(item, reviewer.user)
    assert SECRET in reviewer.get(path_of(item)).content.decode()


def test_a_repeat_of_somebody_else_is_not_found(reviewer, other, item):
    Queue.objects.update(repeat_percent=100)
    item.refresh_from_db()
    services.claim(item, other.user)
    other.post(path_of(item), form_of(item, "met", "not_met"))
    again = Item.objects.get(repeat_of=item)
    assert reviewer.get(path_of(again)).status_code == 404


def test_a_verdict_is_kept_over_the_api(reviewer, other, item):
    grade = item.trace.grades.first()
    path = f"/api/reviews/items/{item.pk}/verdicts/{grade.pk}"
    services.claim(item, reviewer.user)
    kept = reviewer.put(path, {"met": "unsure"}, content_type="application/json")
    refused = other.put(path, {"met": "met"}, content_type="application/json")
    assert (kept.status_code, refused.status_code) == (204, 409)


def test_a_review_over_the_api_shows_the_grader(reviewer, item):
    services.claim(item, reviewer.user)
    verdicts = {str(grade.pk): {"met": "met"} for grade in item.trace.grades.all()}
    path = f"/api/reviews/items/{item.pk}/review"
    body = reviewer.post(path, {"verdicts": verdicts}, content_type="application/json").json()
    assert (body["is_revealed"], body["lines"][0]["grader_met"]) == (True, True)


def test_a_correction_is_accepted_on_the_page(reviewer, other, queue, item):
    services.claim(item, other.user)
    other.post(path_of(item), form_of(item, "not_met", "not_met"))
    page = reviewer.get(reverse("reviews:adjudicate", args=[queue.pk])).content.decode()
    assert "Accept 1 correction" in page
    reviewer.post(reverse("reviews:accept", args=[queue.pk, item.pk]), {"action": "accept"})
    assert Override.objects.get().by == other.user


def test_a_dispute_is_settled_on_the_page(reviewer, other, queue, item):
    services.claim(item, other.user)
    other.post(path_of(item), form_of(item, "unsure", "not_met"))
    path = reverse("reviews:settle", args=[queue.pk, item.pk])
    assert other.post(path, form_of(item, "met", "not_met")).status_code == 409
    assert reviewer.post(path, form_of(item, "not_met", "not_met")).status_code == 302
    item.refresh_from_db()
    assert (item.status, Override.objects.get().met) == (Item.Status.DONE, False)


def test_an_item_that_is_open_has_no_page_to_settle_it(reviewer, clinician, queue, item):
    path = reverse("reviews:settle", args=[queue.pk, item.pk])
    for answer in (reviewer.get(path), reviewer.post(path, form_of(item, "met", "met"))):
        assert answer.headers["Location"] == path_of(item)
    assert clinician.get(path).status_code == 403


def test_an_admin_makes_and_fills_a_queue(admin, reviewer):
    make_graded(None)
    body = {
        "name": "q",
        "size": 10,
        "overlap": 1,
        "repeat_percent": 0,
        "seed": 1,
        "ungraded": "on",
    }
    preview = admin.post(reverse("reviews:new"), body | {"preview": ""})
    assert "1 of 1 answers match" in preview.content.decode()
    assert not Queue.objects.exists()
    admin.post(reverse("reviews:new"), body | {"fill": "", "people": [reviewer.user.pk]})
    queue = Queue.objects.get()
    assert (queue.items.count(), queue.rule) == (1, {"ungraded": True})
    assert queue.assignments.get().user == reviewer.user


def test_a_rule_that_takes_nothing_is_refused(admin):
    body = {"name": "q", "size": 10, "overlap": 1, "repeat_percent": 0, "seed": 1}
    page = admin.post(reverse("reviews:new"), body)
    assert (page.status_code, b"takes nothing" in page.content) == (422, True)


def test_a_closed_queue_gives_nothing_out(admin, reviewer, queue):
    admin.post(reverse("reviews:turn", args=[queue.pk]))
    answer = reviewer.post(reverse("reviews:next", args=[queue.pk]))
    assert answer.headers["Location"] == reverse("reviews:list")


def test_a_queue_of_others_is_not_seen(reviewer, other, queue):
    services.assign(queue, [other.user])
    assert queue.name not in reviewer.get(reverse("reviews:list")).content.decode()
    assert reviewer.get(reverse("reviews:agreement", args=[queue.pk])).status_code == 404


def test_progress_is_shown_per_person(engineer, reviewer, item):
    services.claim(item, reviewer.user)
    reviewer.post(path_of(item), form_of(item, "met", "not_met"))
    page = engineer.get(reverse("reviews:list")).content.decode()
    assert "1 of 2 answers done" in page
    assert Review.objects.get().reviewer.username in page


def export(client, queue, kind):
    path = reverse("reviews:export", args=[queue.pk, kind])
    return b"".join(client.get(path).streaming_content).decode()


def test_corrections_leave_as_training_data_and_as_labels(reviewer, queue, item):
    Queue.objects.update(is_accepting=True)
    item.refresh_from_db()
    services.claim(item, reviewer.user)
    reviewer.post(path_of(item), form_of(item, "not_met", "not_met"))
    task = json.loads(export(reviewer, queue, "training"))
    assert [one["met"] for one in task["labels"]] == [False, False]
    assert [one["grader_met"] for one in task["labels"]] == [True, False]
    labels = [json.loads(line) for line in export(reviewer, queue, "labels").splitlines()]
    assert [one["binary_labels"] for one in labels] == [[False], [False]]
    assert reviewer.user.username not in json.dumps(labels)


def test_a_spreadsheet_cell_is_no_formula(reviewer, queue, item):
    services.claim(item, reviewer.user)
    grade = item.trace.grades.first()
    evil = {f"note-{grade.pk}": "=HYPERLINK()"}
    reviewer.post(path_of(item), form_of(item, "met", "not_met") | evil)
    assert "'=HYPERLINK()" in export(reviewer, queue, "verdicts")
    assert reviewer.get(reverse("reviews:export", args=[queue.pk, "all"])).status_code == 404


def test_a_judge_is_shown_with_its_labels(engineer, reviewer, item):
    judge = Judge.objects.create(name="Test", url="http://judge", model="test")
    services.claim(item, reviewer.user)
    reviewer.post(path_of(item), form_of(item, "not_met", "not_met"))
    page = engineer.get(reverse("reviews:judge", args=[judge.pk]))
    assert page.context["found"].judge.table.n == 2
    assert "on trial" in page.content.decode()


def test_verdicts_are_kept_as_a_label_set(engineer, reviewer, queue, item):
    path = reverse("reviews:keep_labels", args=[queue.pk])
    nothing = engineer.post(path, follow=True).content.decode()
    assert "No reviewer has handed in a verdict" in nothing
    services.claim(item, reviewer.user)
    reviewer.post(path_of(item), form_of(item, "met", "not_met"))
    engineer.post(path)
    engineer.post(path)
    found = LabelSet.objects.get()
    rows = [of_json(row.row) for row in found.answers.all()]
    assert [(row.met, row.points, row.answer) for row in rows] == [
        ((True,), 5.0, item.trace.answer),
        ((False,), 3.0, item.trace.answer),
    ]
    assert reviewer.user.username not in str([row.by for row in rows])


def test_labels_of_a_benchmark_stay_restricted(engineer, reviewer, queue, item):
    Trace.objects.filter(pk=item.trace_id).update(is_restricted=True)
    services.claim(item, reviewer.user)
    reviewer.post(path_of(item), form_of(item, "met", "not_met"))
    engineer.post(reverse("reviews:keep_labels", args=[queue.pk]))
    assert LabelSet.objects.get().is_restricted
    assert export(reviewer, queue, "labels") == ""


def test_keeping_labels_is_an_engineers_post(engineer, reviewer, queue, stranger):
    path = reverse("reviews:keep_labels", args=[queue.pk])
    assert engineer.get(path).status_code == 405
    assert reviewer.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]
