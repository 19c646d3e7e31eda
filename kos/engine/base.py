"""The engine protocol: Tinker's primitives, so that a bigger engine is one field away.

Alignment is Tinker's: a datum's ``tokens`` are the sequence without its last token and its
``targets`` the sequence without its first, so target t is predicted from tokens up to t.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kos.engine.capabilities import Capability
from kos.rl.losses.base import Loss

if TYPE_CHECKING:
    from kos.config.base import Adam
    from kos.engine.models import Chat

# How far a long call is: what is done, of how many. May raise to stop the call.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Datum:
    """One sequence to learn from; all fields but ``tokens`` are per target, of equal length.

    ``mask`` is 1 where the policy chose the target, 0 on the prompt. ``logprobs`` are those of
    the sampler at its temperature, ``advantages`` the weights of the loss; both 0 off the mask.
    """

    tokens: tuple[int, ...]
    targets: tuple[int, ...]
    mask: tuple[int, ...]
    logprobs: tuple[float, ...]
    advantages: tuple[float, ...]

    @classmethod
    def of_answer(
        cls,
        prompt: Sequence[int],
        answer: Sequence[int],
        *,
        advantage: float,
        logprobs: Sequence[float] | None = None,
    ) -> Datum:
        """A prompt and the answer to learn from, every answer token with the same weight."""
        full = (*prompt, *answer)
        before, after = len(prompt) - 1, len(answer)
        return cls(
            tokens=full[:-1],
            targets=full[1:],
            mask=(0,) * before + (1,) * after,
            logprobs=(0.0,) * before + tuple(logprobs or (0.0,) * after),
            advantages=(0.0,) * before + (advantage,) * after,
        )

    @classmethod
    def of_turns(
        cls,
        turns: Sequence[tuple[Sequence[int], Sequence[int]]],
        *,
        advantage: float = 1.0,
        logprobs: Sequence[Sequence[float]] | None = None,
    ) -> Datum:
        """Several answers in one sequence: pairs of what is read next and what is said to it.

        ``logprobs`` has one row a turn, as long as what is said in it. What is read (the prompt,
        what tools brought) is never learnt: its mask is 0.
        """
        full: list[int] = []
        said: list[int] = []
        known: list[float] = []
        for number, (read, answer) in enumerate(turns):
            full += [*read, *answer]
            said += [0] * len(read) + [1] * len(answer)
            known += [0.0] * len(read)
            known += [0.0] * len(answer) if logprobs is None else logprobs[number]
        return cls(
            tokens=tuple(full[:-1]),
            targets=tuple(full[1:]),
            mask=tuple(said[1:]),
            logprobs=tuple(known[1:]),
            advantages=tuple(advantage * one for one in said[1:]),
        )

    def weighted(self, factor: float) -> Datum:
        """The same sequence with its advantages times ``factor``."""
        advantages = tuple(factor * advantage for advantage in self.advantages)
        return replace(self, advantages=advantages)

    @property
    def prompt(self) -> tuple[int, ...]:
        """Tokens up to the one that predicts the first action; empty without actions."""
        return self.tokens[: self.mask.index(1) + 1] if 1 in self.mask else ()

    @property
    def num_actions(self) -> int:
        """Tokens that enter the loss."""
        return sum(self.mask)


@dataclass(frozen=True)
class SamplingParams:
    """How answers are drawn. ``seed`` and a sample's number fix its randomness.

    ``stop_repetition`` ends an answer that goes round in circles, ``stop_confident`` one with so
    many tokens in a row of probability over 0.99 (0: never); ``kos.engine.stops`` has the rules.
    ``after`` is the beginning of an answer that an earlier call drew and that stands at the end
    of the prompt now: its randomness goes on where that call's ended, ``max_tokens`` counts new
    tokens alone. ``first_sample`` is then its number among the samples of that call.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    stop_repetition: bool = False
    stop_confident: int = 0
    after: Sampled | None = None
    first_sample: int = 0


def spread(params: SamplingParams | Sequence[SamplingParams], count: int) -> list[SamplingParams]:
    """Each of ``count`` prompts' own params: those given, or the one given with seeds apart."""
    if isinstance(params, SamplingParams):
        return [replace(params, seed=derive(params.seed, number)) for number in range(count)]
    assert len(params) == count
    return list(params)


def derive(*parts: int) -> int:
    """A seed of 63 bits that depends on every one of ``parts``."""
    text = ",".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Sampled:
    """An answer: its tokens (the ending one included) and their log-probabilities.

    ``logprobs`` are at the sampling temperature over the whole vocabulary (at 1 when the
    temperature is 0); ``top_p`` does not renormalise them.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    stop_reason: Literal["stop", "length", "repetition", "confident"]


@dataclass(frozen=True)
class ForwardOutput:
    """``loss`` is the sum over tokens; ``logprobs`` has one entry a masked target, per datum."""

    loss: float
    logprobs: tuple[tuple[float, ...], ...]


class Engine(Protocol):
    """A policy that samples and learns. Calls take effect in the order they are made.

    ``chat`` renders and tokenizes as the policy was taught; ``version`` counts optimiser steps,
    so that what was sampled can be stamped with the policy it came from.
    """

    capabilities: frozenset[Capability]
    chat: Chat

    @property
    def version(self) -> int:
        """Optimiser steps taken."""

    def describe(self) -> str:
        """A sentence for the run's log: where it computes, and in what."""

    def close(self) -> None:
        """Let go of processes and connections; the engine cannot be used after."""

    def forward(
        self, data: Sequence[Datum], loss: Loss, *, temperature: float = 1.0
    ) -> ForwardOutput:
        """The loss without gradients; log-probabilities are at ``temperature``."""

    def forward_backward(
        self,
        data: Sequence[Datum],
        loss: Loss,
        *,
        temperature: float = 1.0,
        on_progress: OnProgress | None = None,
    ) -> ForwardOutput:
        """The loss, its gradient added to what has gathered since the last ``optim_step``."""

    def optim_step(self, adam: Adam) -> dict[str, float]:
        """Apply the gathered gradients and clear them; returns ``grad_norm``."""

    def save_state(
        self, path: Path, *, step: int, memory: Mapping[str, Any] | None = None
    ) -> None:
        """Write weights and optimiser to the file ``path``, whole or not at all.

        ``memory`` is JSON that the caller wants to find again.
        """

    def load_state(self, path: Path) -> tuple[int, dict[str, Any]]:
        """Take up what ``save_state`` wrote; returns its step and memory."""

    def reset_optimiser(self) -> None:
        """Forget the optimiser's moments and step count (Kimi k1.5, every iteration)."""

    def save_weights(self, folder: Path) -> None:
        """Write the adapter as a peft folder."""

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams],
        *,
        num_samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> list[list[Sampled]]:
        """``num_samples`` answers to each prompt, from the weights as they are now.

        ``params`` are those of all prompts, or one a prompt (``spread`` gives them apart).
        """

    def compute_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-probability of each token but the first, given those before it."""
