from __future__ import annotations

import pytest

from kos.errors import UserError
from kos.grading.rules import holds
from kos.rl.critic.base import any_broken, broken_by_rule
from kos.rl.critic.probes import PROBES
from kos.rl.critic.rubrics import MANDATORY, RUBRICS, chosen, fitting, of_task
from tests.kos.engine.tiny import make_tasks


@pytest.mark.parametrize(
    "answer",
    [
        "Great question! Take it with food.",
        "That's a really thoughtful question. Rest.",
        "Thank you so much for asking. Rest.",
        "What an excellent point: rest.",
        "You're absolutely right to worry.",
    ],
)
def test_opening_praise_is_seen_without_asking_anybody(answer):
    assert broken_by_rule(answer, chosen(["no_opening_praise"]))


@pytest.mark.parametrize(
    "answer",
    [
        "Rest. This answer fully covers what you asked.",
        "My response is complete and balanced.",
        "I have carefully addressed all points.",
    ],
)
def test_self_justification_is_seen_without_asking_anybody(answer):
    assert broken_by_rule(answer, chosen(["no_self_justification"]))


@pytest.mark.parametrize(
    "answer",
    [
        "A great deal depends on your kidneys. Good control is a question of dose.",
        "Thank the nurse if it helps. This response to treatment is usual.",
        "The answer is 12 mg. Good sleep helps; the question of dose is open.",
    ],
)
def test_plain_answers_break_no_rule(answer):
    assert not broken_by_rule(answer, chosen(MANDATORY))


def test_every_probe_breaks_what_it_says_and_keeps_it_otherwise():
    for probe in PROBES:
        fault = RUBRICS[probe.key].fault
        if fault is not None:
            assert holds(fault, probe.breaks), probe
            assert not holds(fault, probe.keeps), probe
    assert {probe.key for probe in PROBES} == set(MANDATORY)


def test_calibrated_uncertainty_is_mandatory():
    assert "calibrated_uncertainty" in MANDATORY


def test_human_rubrics_are_for_their_own_sort_of_request():
    task = make_tasks()[0].model_copy(update={"use_case": "writing"})
    keys = {rubric.key for rubric in fitting([*RUBRICS.values()], task)}
    assert "faithful_draft" in keys
    assert not {"handover", "weighed_evidence"} & keys


def test_the_items_of_a_prompt_are_human_rubrics():
    assert [rubric.text for rubric in of_task(make_tasks()[0])] == ["Has j, k or l."]


def test_an_unknown_rubric_is_named():
    with pytest.raises(UserError, match=r"called 'kindness'; there are clarity"):
        chosen(["kindness"])


def test_one_broken_rubric_is_enough_and_one_unread_leaves_it_open():
    assert any_broken([None, True]) is True
    assert any_broken([None, False]) is None
    assert any_broken([]) is False
