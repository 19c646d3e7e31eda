from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from kos.rl.prompts.base import Record
from kos.rl.prompts.pools import Pool, Pools
from tests.kos.engine.tiny import make_tasks
from tests.kos.rl.prompts.picking import asked, pick

# 99.9 percent of the chi-square distribution with 3 degrees of freedom.
CHI_SQUARE_3 = 16.27


@pytest.mark.parametrize(
    ("score", "pool"),
    [
        (0.0, "hard"),
        (0.25, "hard"),
        (0.26, "normal"),
        (0.75, "normal"),
        (0.76, "easy"),
        (1, "easy"),
    ],
)
def test_bounds_belong_to_the_lower_pool(score, pool):
    pools = Pools()
    assert pools.pool_of(make_tasks(1)[0], asked(score)) == getattr(pools, pool)


def test_a_prompt_of_which_nothing_is_known_is_normal():
    assert Pools().pool_of(make_tasks(1)[0], Record()) == Pools().normal
    assert Pools().pool_of(make_tasks(1)[0], Record({}, {"task-0": 0.9})) == Pools().easy


def test_prompts_are_drawn_by_the_weight_of_their_pool():
    draws, record = 3000, asked(0.1, 0.5, 0.6, 0.9)
    found = Counter(
        pick(Pools(), make_tasks(4), 1, step=step, record=record)[0] for step in range(draws)
    )
    expected = [draws * weight / 2.4 for weight in (0.2, 1, 1, 0.2)]
    distance = sum((found[n] - wanted) ** 2 / wanted for n, wanted in enumerate(expected))
    assert distance < CHI_SQUARE_3


def test_a_pool_of_weight_0_is_not_asked():
    sampler = Pools(easy=Pool(up_to=1, weight=0))
    record = asked(0.1, 0.5, 0.9)
    assert all(
        2 not in pick(sampler, make_tasks(3), 2, step=step, record=record) for step in range(9)
    )


@pytest.mark.parametrize("bounds", [(0.5, 0.5, 1), (0.6, 0.5, 1), (0.2, 0.5, 0.9)])
def test_pools_that_do_not_rise_to_1_are_refused(bounds):
    hard, normal, easy = (Pool(up_to=bound) for bound in bounds)
    with pytest.raises(ValidationError, match="rising shares, the last at 1"):
        Pools(hard=hard, normal=normal, easy=easy)
