from __future__ import annotations

import pytest

from kos.config import Train
from kos.config.training import Alarms
from kos.engine.base import Datum
from kos.rl import alarms, metrics
from kos.rl.losses.cispo import Cispo
from kos.rl.rollouts import Group, Rollout, Segment
from tests.kos.engine.tiny import make_tasks

QUIET = {"tokens/learnt": 1.0, "entropy": 1.0, "reward/std": 0.1, "groups/count": 1.0}


def rollout(parts, length=10, visible=5, reason="stop"):
    segment = Segment((1,) * length, (-1.0,) * length)
    return Rollout(
        (segment,), reason, "", "", "", (), visible, score=parts["rubric"], components=parts
    )


def group(*rollouts):
    return Group(make_tasks()[0], (1,), rollouts)


def test_the_variance_within_groups_is_split_between_rubric_and_bonus():
    first = group(rollout({"rubric": 1.0, "bonus": 0.0}), rollout({"rubric": 0.0, "bonus": 0.0}))
    second = group(rollout({"rubric": 0.5, "bonus": 0.3}), rollout({"rubric": 0.5, "bonus": 0.1}))
    numbers = metrics.of_groups([first, second])
    assert numbers["variance/rubric"] == pytest.approx((0.25 + 0) / 2)
    assert numbers["variance/bonus"] == pytest.approx((0 + 0.01) / 2)
    assert numbers["reward/part/bonus"] == pytest.approx(0.1)
    assert numbers["bonus/share"] == pytest.approx(0.4 / 2.4)


def test_percentiles_are_lengths_that_occurred():
    rollouts = [rollout({"rubric": 1.0}, length=n) for n in range(1, 101)]
    numbers = metrics.of_lengths(rollouts)
    assert [numbers[f"length/response/p{p}"] for p in (50, 90, 99)] == [50, 90, 99]
    assert numbers["length/output/p99"] == 5


def test_shares_of_stops_add_up():
    rollouts = [
        rollout({"rubric": 1.0}, reason=r) for r in ("stop", "stop", "length", "repetition")
    ]
    assert metrics.of_stops(rollouts) == {
        "length/cut": 0.25, "stop/length": 0.25, "stop/repetition": 0.25, "stop/stop": 0.5,
    }  # fmt: skip


def test_mismatch_is_measured_on_action_tokens_alone():
    datum = Datum.of_answer([7, 8], [1, 2], advantage=1.0, logprobs=[-1.0, -2.0])
    found = metrics.of_update([datum], [(-1.5, -2.0)], Cispo(clip_low=0.9))
    assert found["kl/sample_train"] == pytest.approx(0.25)
    assert found["kl/sample_train_v2"] == pytest.approx(0.0625)
    assert found["ratio/clip_fraction"] == 0.5
    assert found["entropy"] == 1.5
    assert found["kl/correlation"] == pytest.approx(1.0)


def test_correlation_is_pearsons():
    assert metrics.correlation([1, 2, 3], [2, 4, 7]) == pytest.approx(5 / (2 * 114 / 9) ** 0.5)
    assert metrics.correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert metrics.correlation([1, 1], [1, 2]) == 0


def numbers_of(loss, norm=1.0, **others):
    return {**QUIET, "loss": loss, "grad_norm": norm, **others}


def test_a_loss_spike_is_one_beside_what_was_usual():
    history: dict[str, list[float]] = {}
    for step, loss in enumerate([1.0, 1.2, 0.9, 1.1, 1.0, 1.3], 1):
        assert alarms.check(Train(), numbers_of(loss), history, step)[0]["alarm/loss_spike"] == 0
    raised, [note] = alarms.check(Train(), numbers_of(9.0), history, 7)
    assert raised["alarm/loss_spike"] == 1
    assert note.level == "error"
    assert "loss is 9" in note.text


def test_a_loss_that_is_no_number_is_a_spike():
    history = {"loss": [1.0] * 6, "grad_norm": [1.0] * 6}
    assert alarms.check(Train(), numbers_of(float("nan")), history, 7)[0]["alarm/loss_spike"] == 1


def test_alarms_can_be_turned_off():
    off = Train(alarms=Alarms(loss_spike=0, entropy=0, equal_steps=0, kl=0))
    history = {"loss": [1.0] * 6, "grad_norm": [1.0] * 6}
    wild = numbers_of(1e9, **{"kl/v2/substep/1": 9.0}) | {"entropy": 0.0, "reward/std": 0.0}
    assert alarms.check(off, wild, history, 7)[1] == []


def test_a_sampler_with_other_weights_shows_in_the_first_substep():
    raised, [note] = alarms.check(Train(), numbers_of(1.0, **{"kl/v2/substep/1": 0.3}), {}, 1)
    assert raised["alarm/kl"] == 1
    assert "other weights" in note.text
