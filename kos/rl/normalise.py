"""Normalisation of a loss, as one factor a sequence on its advantages.

Losses are sums over tokens. What other systems divide by is multiplied in here, so that every
engine, built-in losses of a service included, computes the same update.

| how | factor | as in |
|---|---|---|
| sum | 1 | Tinker |
| token_mean | 1 / action tokens of the optimiser step | DAPO, MiniMax-M1 |
| seq_mean | 1 / (sequences * action tokens of the sequence) | GRPO |
| dr | 1 / (sequences * longest answer allowed) | Dr. GRPO |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kos.engine.base import Datum
from kos.errors import UserError
from kos.rl.losses.base import Loss, Normalisation


def normalised(
    data: Sequence[Datum], loss: Loss, how: Normalisation | Literal["own"], *, max_tokens: int
) -> tuple[list[Datum], Loss]:
    """The data and the loss of one optimiser step, normalised; "own" is as the loss's source.

    ``max_tokens`` is the longest answer allowed. Raises UserError where a loss cannot be
    normalised in that way.
    """
    chosen = loss.normalisation if how == "own" else how
    present = [datum for datum in data if datum.num_actions]
    if chosen == "seq_mean":
        if loss.scaled(0.5) != loss:
            raise UserError(
                f"The loss {loss.kind} pulls whole sequences back to the sampling policy, and "
                "seq_mean would weigh that differently in each; take sum, token_mean or dr."
            )
        total = len(present)
        return [
            datum.weighted(1 / (total * datum.num_actions)) if datum.num_actions else datum
            for datum in data
        ], loss
    factor = 1.0
    if chosen == "token_mean":
        factor = 1 / max(1, sum(datum.num_actions for datum in present))
    elif chosen == "dr":
        factor = 1 / (max(1, len(present)) * max_tokens)
    return [datum.weighted(factor) for datum in data], loss.scaled(factor)
