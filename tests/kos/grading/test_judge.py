from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from pydantic import ValidationError

from kos.data.rubrics import Checkpoint, RubricItem, Verifier
from kos.errors import UserError
from kos.grading import endpoint, wording
from kos.grading.cache import RulingCache
from kos.grading.endpoint import Endpoint
from kos.grading.judge import Judge
from kos.grading.pairwise import compare
from tests.kos.grading.judges import Scripted, items_in, make_task, met_if, submit

TASK = make_task(("Names a drug", 5), ("Gives a dose", 3), ("Invents a source", -4))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(endpoint, "_pause", lambda attempt, told: 0)


def grade(server: Scripted, tmp_path, judge: Judge | None = None, submission=None, times=1):
    async def work():
        async with server.client() as http:
            cache = RulingCache(tmp_path / "rulings.sqlite3")
            at_work = (judge or Judge()).at_work(http, cache, seed=1)
            found = [await at_work.grade(submission or submit(TASK)) for _ in range(times)]
            cache.close()
            return found[-1]

    return asyncio.run(work())


def test_each_item_is_asked_in_a_call_of_its_own(tmp_path):
    server = Scripted(met_if("Names a drug"))
    grades = grade(server, tmp_path)
    assert [item.met for item in grades] == [True, False, False]
    assert len(server.asked) == 3
    assert grades[0].grader.startswith("judge:judge@")
    assert (grades[0].note, grades[0].num_tokens) == ("So it is.", 9)


def test_the_item_comes_last_so_that_the_rest_can_be_cached(tmp_path):
    server = Scripted(met_if())
    grade(server, tmp_path)
    shared = {question.partition("Is this criterion met?")[0] for question in server.asked}
    assert len(shared) == 1
    assert "system: Be brief." in shared.pop()


def test_a_whole_rubric_is_asked_in_one_call_under_shuffled_keys(tmp_path):
    server = Scripted(met_if("Gives a dose"))
    grades = grade(server, tmp_path, Judge(asks="rubric"))
    assert [item.met for item in grades] == [False, True, False]
    assert len(server.asked) == 1


def test_an_item_whose_key_does_not_come_back_is_asked_alone(tmp_path):
    def forgetful(question):
        reply = met_if("Names a drug")(question)
        if "verdicts" in reply:
            reply["verdicts"] = [*reply["verdicts"][:1], reply["verdicts"][0]]
        return reply

    server = Scripted(forgetful)
    grades = grade(server, tmp_path, Judge(asks="rubric"))
    assert [item.met for item in grades] == [True, False, False]
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "reply",
    [
        "Yes, it is met.",
        {"explanation": "x", "met": True},
        {"explanation": "x", "criteria_met": "true"},
        {"explanation": "x", "criteria_met": None},
        "[true]",
        "",
    ],
)
def test_a_reply_that_cannot_be_read_leaves_the_item_ungraded(tmp_path, reply):
    server = Scripted(lambda question: reply)
    grades = grade(server, tmp_path, Judge(tries=2))
    assert [item.met for item in grades] == [None, None, None]
    assert len(server.asked) == 6
    assert grades[0].note


def test_a_reply_in_a_fence_or_behind_thinking_is_read():
    reply = '<think>{"criteria_met": false}</think>```json\n{"criteria_met": true}\n```'
    assert wording.read_one(reply).met is True


def test_a_second_try_may_succeed_and_is_counted(tmp_path):
    replies = iter(["no idea", {"explanation": "", "criteria_met": True}] * 3)
    grades = grade(Scripted(lambda question: next(replies)), tmp_path, submission=submit(ONE))
    assert (grades[0].met, grades[0].attempts) == (True, 2)


ONE = make_task(("Names a drug", 5))


def test_a_busy_judge_is_asked_again(tmp_path):
    replies = iter([httpx.Response(429), httpx.Response(503), {"criteria_met": True}])
    grades = grade(Scripted(lambda question: next(replies)), tmp_path, submission=submit(ONE))
    assert grades[0].met is True


def test_a_judge_that_is_down_leaves_items_ungraded_never_unmet(tmp_path):
    grades = grade(Scripted(lambda question: httpx.Response(500)), tmp_path)
    assert [item.met for item in grades] == [None, None, None]
    assert "500" in grades[0].note


def test_a_wrong_key_stops_the_run_with_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"refused the request \(status 401"):
        grade(Scripted(lambda question: httpx.Response(401, text="bad key")), tmp_path)


def test_what_was_graded_once_is_not_paid_for_again(tmp_path):
    server = Scripted(met_if("Names a drug"))
    first = grade(server, tmp_path)
    again = grade(server, tmp_path)
    assert len(server.asked) == 3
    assert [item.met for item in again] == [item.met for item in first]
    assert all(item.is_cached for item in again)


@pytest.mark.parametrize("change", [{"model": "other"}, {"temperature": 0.5}, {"asks": "rubric"}])
def test_another_judge_shares_no_ruling(tmp_path, change):
    server = Scripted(met_if())
    grade(server, tmp_path)
    before = len(server.asked)
    grade(server, tmp_path, Judge(**change))
    assert len(server.asked) > before


def test_another_answer_shares_no_ruling(tmp_path):
    server = Scripted(met_if())
    grade(server, tmp_path)
    grade(server, tmp_path, submission=submit(TASK, "Rest."))
    assert len(server.asked) == 6


def test_the_majority_of_votes_counts_and_a_tie_is_ungraded(tmp_path):
    replies = iter([True, True, False])
    server = Scripted(lambda question: {"criteria_met": next(replies)})
    judge = Judge(votes=3, temperature=1)
    grades = grade(server, tmp_path, judge, submit(ONE))
    assert grades[0].met is True
    assert grades[0].note.startswith("2 of 3 votes")
    replies = iter([True, False])
    tied = grade(server, tmp_path, Judge(votes=2, temperature=0.9), submit(ONE))
    assert tied[0].met is None


def test_votes_that_cannot_differ_are_refused():
    with pytest.raises(ValidationError, match="raise the temperature"):
        Judge(votes=3)


def test_no_more_requests_are_open_than_allowed(tmp_path):
    task = make_task(*((f"Item {n}", 1) for n in range(30)))
    server = Scripted(met_if(), seconds=0.005)
    grade(server, tmp_path, Judge(in_flight=4), submit(task))
    assert (server.most_open, len(server.asked)) == (4, 30)


def prefer(decide):
    async def work():
        server = Scripted(decide)
        async with server.client() as http:
            asking = Endpoint(http, "judge", {}, 2, 1)
            first, second = submit(ONE, "first answer"), submit(ONE, "second answer")
            return await compare(asking, first, second, ONE.rubric)

    return asyncio.run(work())


def test_a_preference_holds_only_in_both_orders():
    likes_second = prefer(
        lambda q: {"better": "b" if q.index("second answer") > q.index("first answer") else "a"}
    )
    assert likes_second[:2] == ("second", False)
    assert prefer(lambda q: {"better": "a"})[:2] == ("tie", True)
    assert prefer(lambda q: {"better": "tie"})[:2] == ("tie", False)
    assert prefer(lambda q: "hm").preference is None


def test_items_and_points_are_shown_as_the_benchmark_does():
    assert items_in(wording.ask_one(submit(TASK), TASK.rubric[2])[1]["content"]) == [
        ("", "Invents a source")
    ]
    assert "[-4 points]" in json.dumps(wording.ask_one(submit(TASK), TASK.rubric[2]))


def test_a_checkpoint_for_a_judge_is_asked_with_its_ground_truth(tmp_path):
    why = RubricItem(
        key="why",
        text="Explains the limit",
        points=1,
        checkpoint=Checkpoint(kind="llm_judge", ground_truth="eGFR below 30"),
    )
    state = RubricItem(
        key="c1", text="Stops it", points=1, checkpoint=Checkpoint(kind="fhir_state")
    )
    task = TASK.model_copy(update={"rubric": (state, why)})
    server = Scripted(met_if("Explains the limit"))
    grades = grade(server, tmp_path, submission=submit(task))
    assert [(item.key, item.met) for item in grades] == [("c1", None), ("why", True)]
    assert len(server.asked) == 1
    assert server.asked[0].count("eGFR below 30") == 1


def test_another_ground_truth_is_another_ruling(tmp_path):
    server = Scripted(met_if("Explains"))
    for truth in ("eGFR below 30", "eGFR below 45", "eGFR below 30"):
        checkpoint = Checkpoint(kind="llm_judge", ground_truth=truth)
        item = RubricItem(key="why", text="Explains", points=1, checkpoint=checkpoint)
        grade(server, tmp_path, submission=submit(TASK.model_copy(update={"rubric": (item,)})))
    assert len(server.asked) == 2


def test_a_verified_answer_is_graded_beside_a_judge_too(tmp_path):
    verifier = Verifier(kind="numeric", answer="42")
    task = TASK.model_copy(update={"rubric": (), "verifier": verifier})
    server = Scripted(met_if())
    (item,) = grade(server, tmp_path, submission=submit(task, "Answer: 42"))
    assert (item.grader, item.met, server.asked) == ("verifier", True, [])
