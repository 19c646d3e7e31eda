"""What must hold of the losses whatever the numbers: no library has all of them."""

from __future__ import annotations

import pytest
import torch

from kos.config import Train
from kos.rl.advantages import best, centre, centre_on_partition, standardise
from kos.rl.losses.base import LOSSES, CrossEntropy
from kos.rl.losses.cispo import Cispo
from kos.rl.losses.mirror import Dro, MirrorDescent, Rest, SquaredMirrorDescent, TokenClip
from kos.rl.losses.ratio import Grpo, Gspo, ImportanceSampling, Ppo
from tests.kos.rl.losses.cases import gradient, make

# A Train with defaults imports every file of the folder.
ALL = [cls() for cls in LOSSES if Train()]
IDS = [loss.kind for loss in ALL]


# CISPO and GSPO hold a ratio still by design: their gradient is not their value's.
PLAIN = [loss for loss in ALL if not isinstance(loss, Cispo | Gspo)]


@pytest.mark.parametrize("loss", PLAIN, ids=[loss.kind for loss in PLAIN])
def test_the_gradient_is_that_of_finite_differences(loss):
    case = make(1, drift=0.1)
    found = gradient(loss, case)
    for place in ((0, 0), (1, 2), (3, 1)):
        step = torch.zeros_like(case.logp)
        step[place] = 1e-6
        above, below = (
            loss(case.logp + sign * step, case.old, case.advantage, case.mask) for sign in (1, -1)
        )
        assert float(above - below) / 2e-6 == pytest.approx(float(found[place]), abs=1e-6)


@pytest.mark.parametrize("loss", ALL, ids=IDS)
def test_nothing_flows_into_what_the_policy_did_not_choose(loss):
    case = make()
    assert not gradient(loss, case)[case.mask == 0].any()


@pytest.mark.parametrize("loss", ALL, ids=IDS)
def test_weighted_cross_entropy_has_the_same_gradient(loss):
    case = make(2)
    weights = loss.weights(case.logp, case.old, case.advantage, case.mask)
    shown = gradient(CrossEntropy(), case._replace(advantage=weights))
    torch.testing.assert_close(shown, gradient(loss, case))


@pytest.mark.parametrize(
    "loss", [Cispo(), ImportanceSampling(), Ppo(), Gspo(), TokenClip(tau=0), Rest()]
)
def test_on_the_policy_that_sampled_it_is_reinforce(loss):
    case = make()
    case = case._replace(old=case.logp)
    torch.testing.assert_close(gradient(loss, case), -case.advantage * case.mask)


@pytest.mark.parametrize("loss", [MirrorDescent(tau=1e-9), Dro(tau=1e-9)])
def test_without_its_pull_mirror_descent_is_reinforce_wherever_it_stands(loss):
    case = make()
    torch.testing.assert_close(gradient(loss, case), -case.advantage * case.mask)


def test_inside_its_bounds_cispo_is_importance_sampling():
    case = make(drift=0.1)
    torch.testing.assert_close(gradient(Cispo(), case), gradient(ImportanceSampling(), case))


def test_the_squared_form_of_k2_has_2_tau_times_the_gradient_of_k1_5():
    case, tau = make(3), 0.3
    squared = gradient(SquaredMirrorDescent(tau=tau), case)
    torch.testing.assert_close(squared, 2 * tau * gradient(MirrorDescent(tau=tau), case))


def test_the_pull_of_k1_5_is_on_answers_and_that_of_dro_on_tokens():
    case = make(3)
    apart = gradient(MirrorDescent(tau=1.0), case) - gradient(Dro(tau=1.0), case)
    assert apart.abs().max() > 0.1


@pytest.mark.parametrize(("ratio", "advantage"), [(3.0, 1.0), (3.0, -1.0), (0.2, 1.0), (0.2, -1)])
def test_k2_5_drops_a_token_out_of_bounds_whichever_way_it_points(ratio, advantage):
    case = make()
    old = case.logp - torch.tensor(ratio).log()
    case = case._replace(old=old, advantage=torch.full_like(old, advantage))
    assert not gradient(TokenClip(tau=0), case).any()
    assert TokenClip().is_clipped(float(torch.tensor(ratio).log()), advantage)


@pytest.mark.parametrize(("ratio", "advantage", "is_dropped"), [
    (1.5, 1.0, True), (1.5, -1.0, False), (0.5, 1.0, False), (0.5, -1.0, True),
])  # fmt: skip
def test_ppo_drops_a_token_only_on_its_own_side(ratio, advantage, is_dropped):
    case = make()
    log_ratio = float(torch.tensor(ratio).log())
    case = case._replace(
        old=case.logp - log_ratio, advantage=torch.full_like(case.logp, advantage)
    )
    assert (not gradient(Ppo(), case).any()) is is_dropped
    assert Ppo().is_clipped(log_ratio, advantage) is is_dropped


def test_tau_log_z_tends_to_the_mean_as_tau_grows():
    rewards = [0.1, 0.9, 0.4, 0.0]
    assert centre_on_partition(rewards, 1e4) == pytest.approx(centre(rewards), abs=1e-3)
    assert centre_on_partition(rewards, 1e-3)[1] == pytest.approx(0.0, abs=2e-3)


def test_grpo_divides_by_the_deviation_of_the_group():
    assert standardise([1.0, 0.0]) == pytest.approx([0.5 / 0.7072, -0.5 / 0.7072], rel=1e-3)
    assert standardise([0.5, 0.5]) == [0.0, 0.0]
    assert Grpo().advantages([1.0, 0.0]) == standardise([1.0, 0.0])


def test_rest_fits_the_best_alone():
    assert best([0.2, 0.9, 0.9]) == [0.0, 1.0, 1.0]
    assert Rest().advantages([0.2, 0.9, 0.9]) == [0.0, 1.0, 1.0]
