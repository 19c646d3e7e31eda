"""When an answer is ended before it ends itself: it goes round in circles, or is beyond doubt.

The same rules hold wherever an answer is drawn: the sampler in this process asks them as it
goes, and an answer from a server is cut afterwards where they would have ended it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from kos.engine.base import Sampled, SamplingParams
from kos.harness.repetition import MIN_SPAN, is_rule, period_of

# Source: MiniMax-M1 (arXiv:2506.13585), sec. 5: 3,000 tokens in a row, each over 0.99.
CONFIDENT = math.log(0.99)
# Tokens between two looks for a loop; places count from the answer's first token.
EVERY = 16
# Tokens that a look needs at most: a period of 64, eight times, and a table's rule.
TAIL = 576

Decode = Callable[[Sequence[int]], str]


def reason_to_stop(
    tokens: Sequence[int],
    logprobs: Sequence[float],
    params: SamplingParams,
    decode: Decode | None = None,
) -> Literal["repetition", "confident"] | None:
    """Why the answer should end with the last of ``tokens``, which are all of it so far.

    With ``decode`` a repeated phrase must hold a letter or a digit: a table's rule is no loop.
    """
    if params.stop_confident and is_confident(logprobs, params.stop_confident):
        return "confident"
    is_time = params.stop_repetition and len(tokens) % EVERY == 0
    return "repetition" if is_time and is_loop(tokens, decode) else None


def is_confident(logprobs: Sequence[float], count: int) -> bool:
    """Whether the last ``count`` tokens were all as good as certain."""
    # From the end: the first doubt settles it, so this costs next to nothing.
    return len(logprobs) >= count and all(
        logprobs[-back] > CONFIDENT for back in range(1, count + 1)
    )


def is_loop(tokens: Sequence[int], decode: Decode | None = None) -> bool:
    """Whether ``tokens`` end in a phrase of at most 64 that repeats without a pause.

    The bounds are those of the evaluations' detector (``kos.evals.detectors.flags``).
    """
    tail = tokens[-TAIL:]
    period = period_of(tail)
    if not period or decode is None:
        return bool(period)
    return not is_rule(tail, period, decode(tail[-MIN_SPAN:]))


def cut_early(answer: Sampled, params: SamplingParams, decode: Decode | None = None) -> Sampled:
    """``answer`` as it would be had its sampler looked for loops and certainty."""
    if not (params.stop_repetition or params.stop_confident):
        return answer
    before = params.after or Sampled((), (), "length")
    tokens, logprobs = before.tokens + answer.tokens, before.logprobs + answer.logprobs
    # Its own end counts first, as in the sampler.
    last = len(tokens) - (answer.stop_reason == "stop")
    for length in range(len(before.tokens) + 1, last + 1):
        # Never more than a tail: an answer may have many thousand tokens.
        start = max(0, length - max(TAIL, params.stop_confident)) // EVERY * EVERY
        reason = reason_to_stop(tokens[start:length], logprobs[start:length], params, decode)
        if reason is not None:
            kept = length - len(before.tokens)
            return replace(
                answer,
                tokens=answer.tokens[:kept],
                logprobs=answer.logprobs[:kept],
                stop_reason=reason,
            )
    return answer
