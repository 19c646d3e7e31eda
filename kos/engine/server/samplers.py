"""Sampling from saved weights: one merged model, its adapter changed when another is asked for.

Everything here runs in the one thread of the work. Shapes: ``T`` positions, ``V`` vocabulary.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kos.engine.base import Sampled, SamplingParams
from kos.engine.lora import merge_into
from kos.engine.sampling import Sampler
from kos.engine.server.futures import Answer, Proto
from kos.engine.server.policies import Base
from kos.engine.server.store import Place, Store
from kos.engine.server.wire import HowToSample, Sample, write_samples
from kos.errors import UserError

# Rows of logits held at a time.
HEAD_ROWS = 256


@dataclass(frozen=True)
class Question:
    """A request to sample from ``weights`` (None: the bare base)."""

    request_id: str
    weights: Place | None
    asked: Sample

    @property
    def kin(self) -> tuple[Any, ...]:
        """What two questions must share to be answered together."""
        how = self.asked.sampling_params
        stop = tuple(how.stop) if isinstance(how.stop, list) else how.stop
        return (self.weights, how.temperature, how.top_p, stop, self.asked.num_samples)


def check(asked: Sample, base: Base) -> None:
    """Raise UserError for what cannot be answered, before it waits in line."""
    asked.refuse_extras()
    tokens = asked.prompt.tokens
    if not tokens or max(tokens) >= base.vocabulary:
        raise UserError("the prompt is empty or has tokens that the model does not know")
    if len(tokens) >= base.context:
        raise UserError(f"the prompt has {len(tokens)} tokens; {base.name} reads {base.context}")
    if asked.prompt_logprobs_last_n and not asked.prompt_logprobs:
        raise UserError("prompt_logprobs_last_n needs prompt_logprobs")


class Samplers:
    """Answers questions, those of a kind together."""

    def __init__(self, base: Base, store: Store) -> None:
        self._base = base
        self._store = store
        self._model: Any = None
        self._holds: Place | None = None
        self._merged: list[str] = []

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer a question; all of them have the same ``kin``."""
        first = questions[0]
        model = self._holding(first.weights)
        how = first.asked.sampling_params
        end_ids, stops = self._ends(how)
        prompts = [question.asked.prompt.tokens for question in questions]
        params = [self._params(one.asked) for one in questions]
        sampler = Sampler(model, end_ids)
        drawn = sampler.sample(prompts, params, num_samples=first.asked.num_samples)
        answers: list[Answer] = []
        for question, sequences in zip(questions, drawn, strict=True):
            cut = [self._cut(sequence, stops) for sequence in sequences]
            answers.append(Proto(write_samples(cut, self._prompt_logprobs(model, question))))
        return answers

    def _holding(self, weights: Place | None) -> Any:
        """The sampling model with ``weights`` merged in."""
        if self._model is None:
            self._model = copy.deepcopy(self._base.model)
        if weights == self._holds:
            return self._model
        for name in self._merged:
            plain = self._base.model.get_submodule(name).weight
            self._model.get_submodule(name).weight.copy_(plain)
        self._merged, self._holds = [], None
        if weights is not None:
            folder, _ = self._store.read(weights)
            self._merged = merge_into(self._model, self._base.with_adapter(folder))
            self._holds = weights
        return self._model

    def _params(self, asked: Sample) -> SamplingParams:
        how = asked.sampling_params
        room = self._base.context - len(asked.prompt.tokens)
        return SamplingParams(
            max_tokens=min(how.max_tokens or room, room),
            temperature=how.temperature,
            top_p=how.top_p,
            seed=secrets.randbits(62) if how.seed is None else how.seed,
        )

    def _ends(self, how: HowToSample) -> tuple[frozenset[int], tuple[str, ...]]:
        """Tokens and texts that end an answer."""
        match how.stop:
            case None:
                return self._base.chat.end_ids, ()
            case str():
                return frozenset(), (how.stop,)
        tokens = frozenset(stop for stop in how.stop if isinstance(stop, int))
        return tokens, tuple(stop for stop in how.stop if isinstance(stop, str))

    def _cut(self, answer: Sampled, stops: tuple[str, ...]) -> Sampled:
        """The answer up to the token that completes the first of ``stops``."""
        if not stops:
            return answer
        decode = self._base.chat.tokenizer.decode
        # Characters span tokens, so the text decides, token by token only where a stop is met.
        if not any(stop in decode(answer.tokens) for stop in stops):
            return answer
        for length in range(1, len(answer.tokens) + 1):
            if any(stop in decode(answer.tokens[:length]) for stop in stops):
                return Sampled(answer.tokens[:length], answer.logprobs[:length], "stop")
        return answer

    def _prompt_logprobs(self, model: Any, question: Question) -> list[float] | None:
        """NaN where nothing predicts the token, or where it was not asked for."""
        if not question.asked.prompt_logprobs:
            return None
        tokens = question.asked.prompt.tokens
        known = logprobs(model, tokens)
        last = question.asked.prompt_logprobs_last_n or len(known)
        kept = known[-last:]
        return [float("nan")] * (len(tokens) - len(kept)) + kept


@torch.inference_mode()
def logprobs(model: Any, tokens: Sequence[int]) -> list[float]:
    """Log-probability of each token but the first, given those before it."""
    if len(tokens) < 2:
        return []
    ids_T = torch.tensor(tokens, device=model.device)
    hidden_TC = model.get_decoder()(input_ids=ids_T[None, :-1], use_cache=False)[0][0]
    head = model.get_output_embeddings()
    parts: list[Tensor] = []
    pieces = (torch.split(each, HEAD_ROWS) for each in (hidden_TC, ids_T[1:]))
    for hidden, targets in zip(*pieces, strict=True):
        logp_TV = head(hidden).float().log_softmax(-1)
        parts.append(logp_TV.gather(-1, targets[:, None])[:, 0])
    known: list[float] = torch.cat(parts).tolist()
    return known
