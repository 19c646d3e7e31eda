from __future__ import annotations

from kos.rl.prompts.uniform import Uniform
from tests.kos.engine.tiny import make_tasks
from tests.kos.rl.prompts.picking import pick


def test_an_epoch_asks_every_prompt_once():
    tasks = make_tasks(6)
    epochs = [
        [place for step in steps for place in pick(Uniform(), tasks, 2, step=step)]
        for steps in ((1, 2, 3), (4, 5, 6))
    ]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2, 3, 4, 5]] * 2
    assert epochs[0] != epochs[1]
