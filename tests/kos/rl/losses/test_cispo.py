from __future__ import annotations

import pytest
import torch

from kos.rl.losses.cispo import Cispo

MASK = torch.ones(1, 1)


def gradient(ratio: float, advantage: float, loss: Cispo) -> float:
    """The loss's derivative by the log-probability at an importance ratio."""
    logp = torch.tensor([[-1.0]], requires_grad=True)
    old = torch.tensor([[-1.0 - torch.tensor(ratio).log().item()]])
    loss(logp, old, torch.tensor([[advantage]]), MASK).backward()
    return logp.grad.item()


@pytest.mark.parametrize("ratio", [0.1, 0.9, 1.0, 3.0, 4.9])
def test_inside_the_bounds_it_is_importance_sampling(ratio):
    assert gradient(ratio, 2.0, Cispo()) == pytest.approx(-2.0 * ratio, rel=1e-5)


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_a_ratio_of_seven_weighs_five_and_keeps_its_gradient(advantage):
    assert gradient(7.0, advantage, Cispo()) == pytest.approx(-5.0 * advantage, rel=1e-5)


def test_it_is_a_sum_over_the_masked_tokens():
    logp = torch.tensor([[-1.0, -2.0, -3.0]])
    mask = torch.tensor([[0.0, 1.0, 1.0]])
    assert Cispo()(logp, logp, torch.ones(1, 3), mask).item() == pytest.approx(5.0)


def test_a_token_outside_the_bounds_is_told():
    assert Cispo().is_clipped(2.0, 1.0)
    assert not Cispo().is_clipped(-50.0, 1.0)
    assert Cispo(clip_low=0.5).is_clipped(-1.0, -1.0)
