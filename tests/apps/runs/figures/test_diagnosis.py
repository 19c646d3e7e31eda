from __future__ import annotations

import pytest

from apps.runs.figures.diagnosis import diagnose, time_shares
from apps.runs.figures.numbers import Setup, Step, spike_in
from apps.runs.figures.rules import RULES
from apps.runs.page.spending import spent, waits_on

SETUP = Setup(groups=8, answers=64, max_tokens=2000)
HEALTHY = {
    "reward/mean": 0.6,
    "reward/part/rubric": 0.5,
    "gate/pass_rate": 0.4,
    "groups/equal": 0.1,
    "variance/rubric": 0.02,
    "variance/bonus": 0.01,
    "kl/v2/substep/1": 0.001,
    "kl/correlation": 0.999,
    "ratio/clip_fraction": 0.01,
    "entropy": 0.8,
    "loss": -0.02,
    "grad_norm": 0.4,
    "length/cut": 0.05,
    "stop/repetition": 0.0,
    "ungraded": 0.0,
    "tokens/sampled": 1000.0,
    "tokens/discarded": 100.0,
    "staleness/dropped": 0.0,
    "staleness/mean": 0.5,
    "time/sample": 10.0,
    "time/wait": 1.0,
}


def steps(count: int = 12, *, last: int = 5, **changed: float | None) -> list[Step]:
    """``count`` healthy steps, the ``last`` ones of them with other numbers."""
    other = {name.replace("__", "/"): value for name, value in changed.items()}
    return [Step(n, HEALTHY | (other if n > count - last else {})) for n in range(1, count + 1)]


def sentences(found: list[Step], setup: Setup = SETUP) -> list[str]:
    return [finding.sentence for finding in diagnose(found, setup)]


def test_a_healthy_run_has_no_findings():
    assert diagnose(steps(), SETUP) == []


def test_a_run_without_steps_has_no_findings():
    assert diagnose([]) == []


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(0.95, "prompts too easy"), (0.05, "prompts too hard"), (0.5, "answers too much alike")],
)
def test_equal_groups_say_why_by_the_mean_score(score, verdict):
    found = steps(groups__equal=0.875, reward__part__rubric=score)
    assert sentences(found) == [f"7 of 8 groups have equal rewards: {verdict}."]


def test_a_gate_that_never_opens_is_said_with_the_score_there_is():
    assert "The gate never opened in the last 5 steps" in sentences(steps(gate__pass_rate=0))[0]


def test_a_gate_that_opened_once_is_no_finding():
    found = steps(gate__pass_rate=0)
    found[-1].metrics["gate/pass_rate"] = 0.125
    assert sentences(found) == []


def test_a_bonus_that_makes_the_spread_is_said_with_its_share():
    found = sentences(steps(variance__rubric=0.01, variance__bonus=0.03))
    assert found == [
        "75 % of the spread within groups comes from the bonus: "
        "the policy learns length, not quality."
    ]


@pytest.mark.parametrize(
    ("numbers", "level"),
    [
        ({"kl__v2__substep__1": 0.03}, "warn"),
        ({"kl__v2__substep__1": 0.3}, "bad"),
        ({"kl__correlation": 0.987}, "warn"),
        ({"kl__correlation": 0.9}, "bad"),
    ],
)
def test_sampler_and_trainer_that_disagree(numbers, level):
    found = diagnose(steps(**numbers), SETUP)
    assert [finding.level for finding in found] == [level]
    assert found[0].sentence.startswith("Sampler and trainer disagree")


def test_the_first_substep_is_asked_because_later_ones_moved_on():
    assert sentences(steps(kl__sample_train_v2=0.5)) == []


def test_entropy_that_collapsed_leads_back_to_where_it_was_well():
    found = diagnose(steps(entropy=0.1), SETUP)
    assert found[0].sentence.startswith("Entropy collapsed to 0.100 nats a token, it was 0.80")
    assert found[0].good_step == 7


def test_entropy_that_explodes():
    assert sentences(steps(entropy=2.0))[0].startswith("Entropy grew to 2.00")


def test_an_entropy_alarm_that_is_off_stays_silent_from_the_start():
    low = [Step(n, {"entropy": 0.01}) for n in range(1, 4)]
    assert diagnose(low, Setup(entropy=0.02))[0].level == "bad"
    assert diagnose(low, Setup(entropy=0)) == []


def test_a_gradient_that_jumps_leads_back_to_the_step_before():
    found = diagnose(steps(last=1, grad_norm=40.0), SETUP)
    assert found[0].sentence.startswith("The gradient norm jumped to 40 at step 12")
    assert found[0].good_step == 11


def test_a_loss_that_jumps_is_a_spike_whichever_way():
    assert "loss jumped" in sentences(steps(last=1, loss=-3.0))[0]


def test_a_spike_alarm_that_is_off_stays_silent():
    assert sentences(steps(last=1, grad_norm=40.0), Setup(loss_spike=0)) == []


def test_noise_is_no_spike():
    assert spike_in([0.4, 0.41, 0.39, 0.4, 0.42, 0.4, 0.7], times=8) is None


def test_an_old_spike_is_over():
    assert spike_in([0.4] * 8 + [40.0] + [0.4] * 6, times=8) is None


def test_a_number_that_is_none_is_not_finite():
    found = diagnose(steps(last=1, loss=None), SETUP)
    assert (found[0].level, found[0].good_step) == ("bad", 11)


def test_a_reward_that_fell_names_the_best_step():
    found = diagnose(steps(reward__mean=0.1), SETUP)
    assert found[0].sentence == "The reward fell from 0.60 around step 5 to 0.10."


def test_a_reward_that_never_rose_did_not_fall():
    assert sentences([Step(n, {"reward/mean": 0.1}) for n in range(1, 20)]) == []


def test_answers_at_the_cap_name_it():
    assert sentences(steps(length__cut=0.7)) == [
        "70 % of the answers end at the cap of 2,000 tokens: they are graded unfinished."
    ]


def test_ungraded_answers_alarm_above_the_configs_share():
    assert "30 % of the answers have no grade" in sentences(steps(ungraded=0.3))[0]
    assert sentences(steps(ungraded=0.3), Setup(ungraded_alarm=0.5)) == []


def test_thrown_away_tokens_are_said_as_a_share():
    assert sentences(steps(tokens__discarded=600)) == [
        "60 % of the sampled tokens are thrown away."
    ]


def test_dropped_answers_are_counted_against_all_of_a_step():
    assert sentences(steps(staleness__dropped=32)) == [
        "50 % of the answers were dropped as too old."
    ]
    assert sentences(steps(staleness__dropped=4)) == []


def test_answers_that_are_old_when_learnt_from():
    assert "6.0 updates old" in sentences(steps(staleness__mean=6))[0]


def test_loops_and_clipping_and_waiting():
    found = sentences(steps(stop__repetition=0.2, ratio__clip_fraction=0.5, time__wait=10))
    assert [sentence[:4] for sentence in found] == ["50 %", "20 %", "50 %"]


def test_the_gravest_comes_first():
    found = diagnose(steps(time__wait=10, ungraded=0.9, length__cut=0.3), SETUP)
    assert [finding.level for finding in found] == ["bad", "warn", "info"]


def test_every_rule_is_silent_about_what_a_run_does_not_say():
    assert diagnose([Step(n, {"other": 1.0}) for n in range(1, 20)], SETUP) == []
    assert len(RULES) == len(set(RULES))


def test_where_the_time_goes_is_one_sentence():
    shares = time_shares([Step(1, {"time/sample": 30.0, "time/train": 10.0})])
    assert waits_on(shares) == "A step takes 40 s and spends 75 % sampling; 25 % training."
    assert waits_on([]) == ""


def test_tokens_are_added_up_with_the_share_thrown_away():
    numbers = {"tokens/sampled": 100.0, "tokens/discarded": 25.0}
    found = {one.label: one for one in spent([Step(1, numbers), Step(2, numbers)])}
    assert (found["Sampled"].tokens, found["Thrown away"].share) == (200, 0.25)
    assert "Read as prompts" not in found
