"""Long2short by reinforcement learning: a second phase that starts where the first ended.

Source: Kimi k1.5 (arXiv:2501.12599), sec. 2.4: from the checkpoint with the best balance of quality
and length, with the length reward on and a much smaller limit for an answer. By how much smaller
is not published.
"""

from __future__ import annotations

from kos.config import Train
from kos.rl.rewards.base import Stage
from kos.rl.rewards.conciseness import ConcisenessBonus
from kos.rl.rewards.length_k15 import LengthK15

TOKENS_SHARE = 0.25
LEAST_TOKENS = 16


def second_phase(config: Train, *, tokens_share: float = TOKENS_SHARE) -> Train:
    """What the second phase is told, given what the first was; its adapter is the warm start.

    The length reward counts from the first step, behind the gate that the first phase had, and
    an answer gets ``tokens_share`` of the tokens. A conciseness bonus stays where its curriculum
    ended. Everything else is as it was.
    """
    limit = max(LEAST_TOKENS, int(config.sampling.max_tokens * tokens_share))
    fields = config.model_dump()
    fields["sampling"]["max_tokens"] = min(limit, config.sampling.max_tokens)
    fields["rewards"] = [stage.model_dump() for stage in _rewards(config)]
    return Train.model_validate(fields)


def _rewards(config: Train) -> list[Stage]:
    """The stages with the length reward among them, without a warm-up."""
    stages = [
        stage.at(1.0) if isinstance(stage, ConcisenessBonus) else stage for stage in config.rewards
    ]
    known = [stage for stage in stages if isinstance(stage, LengthK15)]
    gates = [stage.gate for stage in stages if isinstance(stage, ConcisenessBonus)]
    first = known[0] if known else LengthK15(gate=gates[0]) if gates else LengthK15()
    length = first.model_copy(update={"warm_up": 0.0})
    return [*(stage for stage in stages if not isinstance(stage, LengthK15)), length]
