"""Every loss learns a task that can be verified: say the one letter that is right, four times."""

from __future__ import annotations

import pytest
import torch

from kos.engine.base import Datum
from kos.rl.losses.base import LOSSES, Loss
from kos.rl.normalise import normalised
from tests.kos.rl.losses.test_identities import ALL

LENGTH, LETTERS, RIGHT = 4, 6, 2
ITERATIONS, SUBSTEPS, GROUPS, GROUP_SIZE = 80, 2, 4, 8
WANTED = 0.9


class Table:
    """A policy without a network: free logits (LENGTH, LETTERS), a letter a place."""

    def __init__(self) -> None:
        self.logits = torch.zeros(LENGTH, LETTERS, requires_grad=True)
        self.generator = torch.Generator().manual_seed(0)
        self.optimiser = torch.optim.Adam([self.logits], lr=0.1)

    def sample(self, count: int) -> torch.Tensor:
        """Letters (count, LENGTH)."""
        probs = self.logits.detach().softmax(-1)
        drawn = torch.multinomial(probs, count, replacement=True, generator=self.generator)
        return drawn.T

    def logprobs(self, letters: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (count, LENGTH)."""
        rows = self.logits.log_softmax(-1).expand(len(letters), -1, -1)
        return rows.gather(-1, letters[..., None])[..., 0]


def reward(letters: torch.Tensor) -> list[float]:
    """The share of right letters."""
    return (letters == RIGHT).float().mean(-1).tolist()


def train(policy: Table, loss: Loss) -> None:
    for _ in range(ITERATIONS):
        if loss.resets_optimiser:
            policy.optimiser = torch.optim.Adam([policy.logits], lr=0.1)
        for _ in range(SUBSTEPS):
            step(policy, loss)


def step(policy: Table, loss: Loss) -> None:
    letters = torch.cat([policy.sample(GROUP_SIZE) for _ in range(GROUPS)])
    old = policy.logprobs(letters).detach()
    rewards = reward(letters)
    groups = [rewards[start : start + GROUP_SIZE] for start in range(0, len(rewards), GROUP_SIZE)]
    advantages = [advantage for group in groups for advantage in loss.advantages(group)]
    data = [Datum.of_answer([0], [1] * LENGTH, advantage=advantage) for advantage in advantages]
    scaled, own = normalised(data, loss, "own", max_tokens=LENGTH)
    weights = torch.tensor([datum.advantages for datum in scaled])
    policy.optimiser.zero_grad()
    own(policy.logprobs(letters), old, weights, torch.ones_like(weights)).backward()
    policy.optimiser.step()


@pytest.mark.parametrize("loss", ALL, ids=[loss.kind for loss in ALL])
def test_every_loss_learns_to_say_the_right_letter(loss):
    policy = Table()
    train(policy, loss)
    assert sum(reward(policy.sample(500))) / 500 > WANTED
    assert len(ALL) == len(list(LOSSES))
