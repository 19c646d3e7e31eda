"""Reading verdicts from an engine: the log-probabilities of the letters, or a written reply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from kos.engine.base import Datum, Engine, OnProgress, SamplingParams
from kos.rl.critic.judgement import Letter
from kos.rl.critic.wording import Messages, read_letter
from kos.rl.losses.base import CrossEntropy

LETTERS: tuple[Letter, Letter] = ("a", "b")


class Odds(NamedTuple):
    """Log-probabilities of the two letters as the whole reply begins."""

    a: float
    b: float

    @property
    def mass(self) -> float:
        """How likely the reply is to begin with either letter."""
        return math.exp(self.a) + math.exp(self.b)

    def letter(self, min_mass: float = 0.0) -> Letter | None:
        """The likelier letter; None when they are equal, no numbers, or both too unlikely."""
        if not (math.isfinite(self.a) and math.isfinite(self.b)) or self.a == self.b:
            return None
        return None if self.mass < min_mass else "a" if self.a > self.b else "b"


def letter_datum(engine: Engine, prompt: Sequence[int], letter: Letter) -> Datum:
    """A question with the letter as its answer: what the critic is read by, and trained on.

    Only the letter: whether the reply ends there is no part of the verdict.
    """
    return Datum.of_answer(prompt, engine.chat.tokenize(letter.upper()), advantage=1.0)


def read_odds(
    engine: Engine, questions: Sequence[Messages], *, on_progress: OnProgress | None = None
) -> list[Odds]:
    """The odds of every question, under the weights as they are now.

    ``Engine.forward`` gives what ``compute_logprobs`` does for the letters alone, and reads a
    question once for both; an engine without it is asked for the whole sequence.
    """
    prompts = [engine.chat.encode(question) for question in questions]
    data = [letter_datum(engine, prompt, letter) for prompt in prompts for letter in LETTERS]
    if "forward" in engine.capabilities:
        rows = [sum(row) for row in engine.forward(data, CrossEntropy()).logprobs]
    else:
        whole = [(*datum.tokens, datum.targets[-1]) for datum in data]
        found = zip(data, engine.compute_logprobs(whole), strict=True)
        rows = [sum(row[-datum.num_actions :]) for datum, row in found]
    if on_progress is not None:
        on_progress(len(questions), len(questions))
    return [Odds(a, b) for a, b in zip(rows[::2], rows[1::2], strict=True)]


def write_letters(
    engine: Engine, questions: Sequence[Messages], *, max_tokens: int
) -> list[Letter | None]:
    """The letters that freely written replies end in, the likeliest token each time."""
    prompts = [engine.chat.encode(question) for question in questions]
    params = SamplingParams(max_tokens=max_tokens, temperature=0.0)
    replies = engine.sample(prompts, params, num_samples=1)
    return [read_letter(engine.chat.decode(one[0].tokens)) for one in replies]
