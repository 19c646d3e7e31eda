"""Before a resumed run takes its first step: are these the weights, and do both halves agree?"""

from __future__ import annotations

from collections.abc import Sequence

from kos.engine.base import Engine, SamplingParams
from kos.errors import UserError

TEXT = "A patient with chest pain for two hours should call an ambulance now."
NUM_TOKENS = 16
# In nats a token, on average: bfloat16 kernels of two libraries differ by about a tenth of it.
TOLERANCE = 0.1
# The same weights in the same program on the same machine.
SAME = 1e-2


def fingerprint(engine: Engine) -> list[float]:
    """What the trainer says to a fixed text, token by token; empty where it cannot be asked."""
    if "forward" not in engine.capabilities:
        return []
    return engine.compute_logprobs([engine.chat.tokenize(TEXT)])[0]


def check(engine: Engine, kept: Sequence[float]) -> str:
    """The sentence to log before the first resumed step.

    Raises UserError when sampler and trainer disagree, or when the trainer no longer says what it
    said as the checkpoint was written.
    """
    if "forward" not in engine.capabilities:
        return "Resumed; this engine cannot be asked whether its sampler has the same weights."
    found = fingerprint(engine)
    if kept and _distance(found, kept) > SAME:
        raise UserError(
            f"The checkpoint's weights are not what they were: on a fixed text they differ by "
            f"{_distance(found, kept):.3f} nats a token. Go back to a kept checkpoint, or start "
            "the run anew."
        )
    prompt = engine.chat.tokenize(TEXT)
    ((drawn,),) = engine.sample([prompt], SamplingParams(NUM_TOKENS, temperature=0), num_samples=1)
    trained = engine.compute_logprobs([[*prompt, *drawn.tokens]])[0][len(prompt) - 1 :]
    distance = _distance(trained, drawn.logprobs)
    if distance > TOLERANCE:
        raise UserError(
            f"After the resume sampler and trainer disagree by {distance:.3f} nats a token on a "
            f"fixed text; {TOLERANCE:g} would be too much already. The sampler does not have the "
            "trainer's weights: start it anew."
        )
    return f"Resumed: sampler and trainer agree within {distance:.5f} nats a token."


def _distance(first: Sequence[float], second: Sequence[float]) -> float:
    """Mean distance; without end when the lengths differ."""
    if len(first) != len(second):
        return float("inf")
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / max(1, len(first))
