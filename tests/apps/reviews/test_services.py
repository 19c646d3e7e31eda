from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.evals import effective
from apps.evals.models import Override
from apps.reviews import deciding, services
from apps.reviews.models import Item, Queue, Review, Verdict
from apps.traces.services import raise_flags
from kos.errors import UserError
from tests.apps.reviews.conftest import make_graded, make_queue, say

pytestmark = pytest.mark.django_db


def item_of(queue: Queue) -> Item:
    return queue.items.order_by("position")[0]


def test_two_people_never_hold_the_same_answer(ann, ben):
    queue = make_queue(make_graded(True), make_graded(True))
    first, second = services.claim_next(queue, ann), services.claim_next(queue, ben)
    assert first != second
    assert services.claim_next(queue, ann) == first
    assert not services.claim(first, ben)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_at_once_one_gets_it(ann, ben):
    item = item_of(make_queue(make_graded(True)))
    start, won = threading.Barrier(8), []

    def race(user):
        start.wait()
        if services.claim(Item.objects.get(pk=item.pk), user):
            won.append(user.pk)
        connection.close()

    threads = [threading.Thread(target=race, args=[user]) for user in (ann, ben) * 4]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(set(won)) == 1


def test_a_claim_that_ran_out_goes_to_the_next(ann, ben):
    item = item_of(make_queue(make_graded(True)))
    services.claim(item, ann)
    Item.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert services.claim(item, ben)
    with pytest.raises(UserError, match="ben has this item"):
        services.submit(item, ann, say(item.trace, "met"))


def test_a_late_review_is_accepted_while_nobody_else_took_the_item(ann):
    item = item_of(make_queue(make_graded(True)))
    services.claim(item, ann)
    Item.objects.update(claimed_until=timezone.now() - timedelta(hours=1))
    assert services.submit(item, ann, say(item.trace, "met")).status == Review.Status.SUBMITTED


def test_every_rubric_item_needs_a_verdict(ann):
    item = item_of(make_queue(make_graded(True, False)))
    with pytest.raises(UserError, match="No verdict yet on item 2"):
        services.submit(item, ann, {item.trace.grades.first().pk: services.Said("met")})


def test_a_verdict_is_kept_before_the_review_is_handed_in(ann):
    item = item_of(make_queue(make_graded(True)))
    grade = item.trace.grades.get()
    services.keep_verdict(item, ann, grade, services.Said("unsure", "hm"))
    assert Verdict.objects.get().note == "hm"
    services.keep_verdict(item, ann, grade, None)
    assert not Verdict.objects.exists()


def test_what_the_grader_said_is_stored_beside_the_verdict(ann, review):
    review(item_of(make_queue(make_graded(True))), ann, "not_met")
    verdict = Verdict.objects.get()
    assert (verdict.judged, verdict.is_met, verdict.judge) == (True, False, "judge:test@1")


def test_a_correction_waits_to_be_accepted(ann, review):
    item = item_of(make_queue(make_graded(True)))
    review(item, ann, "not_met")
    item.refresh_from_db()
    assert (item.status, Override.objects.count()) == (Item.Status.PROPOSED, 0)
    assert deciding.accept_proposed(item) == 1
    assert effective.met_of(effective.grades_of(item.trace_id).get()) is False
    assert item.trace.grades.get().met is True


def test_a_correction_is_accepted_once(ann, review):
    item = item_of(make_queue(make_graded(True)))
    review(item, ann, "not_met")
    assert [deciding.accept_proposed(item) for _ in range(2)] == [1, 0]


def test_an_accepting_queue_applies_what_all_agree_on(ann, ben, review):
    item = item_of(make_queue(make_graded(True), overlap=2, is_accepting=True))
    review(item, ann, "not_met")
    assert not Override.objects.exists()
    review(item, ben, "not_met")
    assert Override.objects.get().met is False


@pytest.mark.parametrize("words", [("met", "not_met"), ("unsure", "unsure")])
def test_people_who_differ_or_doubt_leave_it_to_a_third(ann, ben, review, words):
    item = item_of(make_queue(make_graded(True), overlap=2))
    review(item, ann, words[0])
    review(item, ben, words[1])
    item.refresh_from_db()
    assert item.status == Item.Status.DISPUTED


def test_a_third_person_settles_and_it_counts_at_once(ann, ben, reviewer, review):
    item = item_of(make_queue(make_graded(True), overlap=2))
    review(item, ann, "met")
    review(item, ben, "not_met")
    with pytest.raises(UserError, match="cannot settle"):
        services.adjudicate(item, ann, say(item.trace, "not_met"))
    services.adjudicate(item, reviewer.user, say(item.trace, "not_met"))
    item.refresh_from_db()
    assert (item.status, Override.objects.get().by) == (Item.Status.DONE, reviewer.user)


def test_a_skipped_item_goes_to_others(ann, ben):
    queue = make_queue(make_graded(True))
    item = services.claim_next(queue, ann)
    services.skip(item, ann, "not my field")
    assert services.claim_next(queue, ann) is None
    assert services.claim_next(queue, ben) == item


def test_a_done_item_settles_what_readers_flagged(ann, review):
    item = item_of(make_queue(make_graded(True)))
    raise_flags(item.trace, ann, ["unsafe"])
    review(item, ann, "met")
    assert not item.trace.raised.open().exists()


def test_only_the_assigned_get_items(ann, ben):
    queue = make_queue(make_graded(True))
    services.assign(queue, [ben])
    assert services.claim_next(queue, ann) is None
    assert services.claim_next(queue, ben) is not None


def test_a_share_of_answers_is_shown_twice_and_only_to_the_same_person(ann, ben, review):
    queue = make_queue(make_graded(True), repeat_percent=100)
    item = item_of(queue)
    review(item, ann, "met")
    again = services.claim_next(queue, ann)
    assert (again.repeat_of, again.trace) == (item, item.trace)
    assert services.claim_next(queue, ben) is None


def test_a_repeat_changes_no_grade_and_is_not_repeated(ann, review):
    queue = make_queue(make_graded(True), repeat_percent=100, is_accepting=True)
    review(item_of(queue), ann, "met")
    review(services.claim_next(queue, ann), ann, "not_met")
    assert not Override.objects.exists()
    assert queue.items.count() == 2


def test_an_answer_without_a_rubric_needs_a_verdict_on_the_whole(ann):
    item = item_of(make_queue(make_graded()))
    with pytest.raises(UserError, match="no rubric"):
        services.submit(item, ann, {})
    assert services.submit(item, ann, {}, overall="unsafe").overall == "unsafe"
