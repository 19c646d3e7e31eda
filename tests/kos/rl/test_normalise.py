from __future__ import annotations

import pytest
import torch

from kos.engine.base import Datum
from kos.errors import UserError
from kos.rl.losses.cispo import Cispo
from kos.rl.losses.mirror import MirrorDescent, TokenClip
from kos.rl.losses.ratio import DrGrpo, Grpo
from kos.rl.normalise import normalised
from tests.kos.rl.losses.cases import gradient, make

DATA = [
    Datum.of_answer([1, 2], [3] * length, advantage=advantage)
    for length, advantage in ((6, 1.0), (4, -0.5), (5, 0.25), (2, -0.75))
]


def factors(loss, how, *, max_tokens=9):
    found, _ = normalised(DATA, loss, how, max_tokens=max_tokens)
    return [
        after.advantages[-1] / before.advantages[-1]
        for before, after in zip(DATA, found, strict=True)
    ]


def test_each_way_is_its_factor():
    assert factors(Cispo(), "sum") == [1.0] * 4
    assert factors(Cispo(), "token_mean") == pytest.approx([1 / 17] * 4)
    assert factors(Cispo(), "seq_mean") == pytest.approx([1 / 24, 1 / 16, 1 / 20, 1 / 8])
    assert factors(Cispo(), "dr") == pytest.approx([1 / 36] * 4)


def test_own_is_as_the_source_of_the_loss_has_it():
    assert factors(Cispo(), "own") == factors(Cispo(), "sum")
    assert factors(Grpo(), "own") == factors(Grpo(), "seq_mean")
    assert factors(DrGrpo(), "own") == factors(DrGrpo(), "dr")


@pytest.mark.parametrize("loss", [TokenClip(tau=0.3), MirrorDescent(tau=0.3)])
def test_the_pull_to_the_sampler_shrinks_with_the_advantages(loss):
    case = make(4)
    _, scaled = normalised(DATA, loss, "token_mean", max_tokens=9)
    found = gradient(scaled, case._replace(advantage=case.advantage / 17))
    torch.testing.assert_close(found, gradient(loss, case) / 17)


def test_a_pull_on_whole_answers_is_not_weighed_by_their_lengths():
    with pytest.raises(UserError, match="take sum, token_mean or dr"):
        normalised(DATA, MirrorDescent(), "seq_mean", max_tokens=9)
