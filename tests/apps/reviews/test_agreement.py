from __future__ import annotations

import pytest

from apps.evals.models import Judge
from apps.reviews import agreement, services
from apps.reviews.judging import labels_of
from tests.apps.reviews.conftest import make_graded, make_queue

pytestmark = pytest.mark.django_db


def work(queue, review, words):
    """Every item of the queue in turn, reviewed with these words by each person."""
    for user, verdicts in words.items():
        for item, word in zip(queue.items.order_by("position"), verdicts, strict=True):
            review(item, user, *word)


@pytest.fixture
def queue(ann, ben, review):
    """Four answers of one item: the grader says y y n n, ann y n n n, ben y n n y."""
    traces = [
        make_graded(met, example_id=f"e{n}") for n, met in enumerate((True, True, False, False))
    ]
    made = make_queue(*traces, overlap=2)
    met, not_met = ("met",), ("not_met",)
    work(made, review, {ann: [met, not_met, not_met, not_met], ben: [met, not_met, not_met, met]})
    return made


def test_the_grader_is_held_against_people(queue):
    found = agreement.of_queue(queue)
    table = found.judge.table
    assert (table.both, table.first_only, table.second_only, table.neither) == (2, 2, 1, 3)
    assert found.judge.kappa.value == pytest.approx((5 / 8 - 0.5) / 0.5)


def test_two_people_are_held_against_each_other(queue):
    row = agreement.of_queue(queue).people[0]
    assert (row.name, row.table.n, row.table.percent) == ("ann and ben", 4, 0.75)
    assert agreement.of_queue(queue).alpha == pytest.approx(1 - 7 * 2 / (64 - 25 - 9))


def test_categories_are_the_sign_and_the_rubrics_tags(queue):
    names = {row.name for row in agreement.of_queue(queue).by_category}
    assert names == {"wishes (positive points)", "axis:safety"}


def test_unsure_is_counted_and_left_out(ann, review):
    queue = make_queue(make_graded(True, True))
    review(queue.items.get(), ann, "unsure", "met")
    found = agreement.of_queue(queue)
    assert (found.num_verdicts, found.num_unsure, found.judge.table.n) == (2, 1, 1)


def test_a_repeat_measures_steadiness_and_nothing_else(ann, review):
    queue = make_queue(make_graded(True), repeat_percent=100)
    review(queue.items.get(), ann, "met")
    review(services.claim_next(queue, ann), ann, "not_met")
    found = agreement.of_queue(queue)
    assert (found.judge.table.n, found.steadiness[0].table.first_only) == (1, 1)


def test_labels_find_their_judge_whatever_its_version(queue):
    assert labels_of(Judge(name="t", model="test")).count() == 8
    assert labels_of(Judge(name="t", model="tes")).count() == 0
