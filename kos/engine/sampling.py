"""A batched sampler in this process, for models small enough for it.

What makes it several times faster than transformers' ``generate``: keys and values lie in
tensors made once, a row that ends makes room for the next answer at once, the samples of a
prompt share its prefill, and only last positions get logits.

Shapes: ``B`` rows at work, ``V`` vocabulary.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from kos.engine.base import OnProgress, Sampled, SamplingParams, spread
from kos.engine.base import derive as derive
from kos.engine.cache import ATTENTION, Prefix, RowCache
from kos.engine.stops import Decode, reason_to_stop
from kos.errors import UserError

# A stop that is asked for waits no longer than this for the loop to look up.
PROGRESS_SECONDS = 0.5
PREFILL_TOKENS = 2048

StopReason = Literal["stop", "length", "repetition", "confident"]


@dataclass(eq=False)
class Row:
    """An answer in the making. ``draws`` are its own uniform numbers, one a token.

    ``tokens`` and ``logprobs`` begin with the ``num_before`` that an earlier call drew, which
    the prompt has already.
    """

    prompt: int
    sample: int
    params: SamplingParams
    draws: list[float]
    num_prompt_tokens: int
    tokens: list[int]
    logprobs: list[float]
    num_before: int

    @property
    def num_new(self) -> int:
        """Tokens drawn by this call."""
        return len(self.tokens) - self.num_before

    @property
    def next_slot(self) -> int:
        """Where the last token's keys and values belong."""
        return self.num_prompt_tokens + self.num_new - 1


@dataclass(frozen=True)
class Start:
    """What a sample of a prompt begins with: the prompt's memory and its first logits (V,)."""

    prefix: Prefix
    logits_V: Tensor


class Sampler:
    """Draws answers from a Hugging Face causal language model. ``max_rows`` work at a time.

    With ``decode`` a repeated table rule is told from a loop (``SamplingParams.stop_repetition``).
    """

    def __init__(
        self,
        model: Any,
        end_ids: frozenset[int],
        *,
        max_rows: int = 64,
        decode: Decode | None = None,
    ) -> None:
        self.model = model
        self.decode = decode
        self._end_ids = end_ids
        self._max_rows = max_rows
        self._device = next(model.parameters()).device
        self._body = model.get_decoder()
        self._head = model.get_output_embeddings()
        model.set_attn_implementation(ATTENTION)

    @torch.inference_mode()
    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams],
        *,
        num_samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> list[list[Sampled]]:
        """``num_samples`` answers to each prompt, in order; ``params`` of all or one a prompt.

        ``on_progress(tokens so far, answers done)`` is called about twice a second and may
        raise. Raises UserError for a prompt that leaves no room for an answer.
        """
        each = spread(params, len(prompts))
        self._check(prompts, each)
        batch = _Batch(self, prompts, each, num_samples)
        told = time.monotonic()
        while batch.refill():
            batch.step()
            if on_progress is not None and time.monotonic() - told > PROGRESS_SECONDS:
                on_progress(batch.num_tokens, batch.num_done)
                told = time.monotonic()
        return batch.results()

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Start]:
        """Read prompts, padded on the right, which causal attention never looks at."""
        lengths_B = torch.tensor([len(prompt) for prompt in prompts])
        ids_BT = torch.zeros(len(prompts), int(lengths_B.max()), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids_BT[row, : len(prompt)] = torch.tensor(prompt)
        cache = DynamicCache()
        hidden_BTC = self._body(
            input_ids=ids_BT.to(self._device), past_key_values=cache, use_cache=True
        ).last_hidden_state
        last_BC = hidden_BTC[torch.arange(len(prompts)), lengths_B.to(self._device) - 1]
        logits_BV = self._head(last_BC).float()
        return [
            Start(Prefix.cut(cache, row, len(prompt)), logits_BV[row])
            for row, prompt in enumerate(prompts)
        ]

    def read_on(self, prompt: Sequence[int], known: Prefix | None, length: int) -> Start:
        """Read a prompt whose first ``length`` tokens lie in ``known`` already."""
        if known is None or length == 0:
            return self.prefill([prompt])[0]
        places_T = torch.arange(length, len(prompt), device=self._device)
        sees_TS = places_T[:, None] >= torch.arange(len(prompt), device=self._device)
        cache = known.to_cache(length)
        hidden_1TC = self._body(
            input_ids=self.tensor(prompt[length:])[None],
            position_ids=places_T[None],
            attention_mask=sees_TS[None, None],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits_V = self._head(hidden_1TC[0, -1:]).float()[0]
        return Start(Prefix.cut(cache, 0, len(prompt)), logits_V)

    def extend(self, last_B: Tensor, slots_B: Tensor, cache: RowCache) -> Tensor:
        """Logits (B, V) after one more token in each row."""
        mask_B11S = cache.place(slots_B)
        hidden_B1C = self._body(
            input_ids=last_B[:, None],
            position_ids=slots_B[:, None],
            attention_mask=mask_B11S,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits_BV: Tensor = self._head(hidden_B1C[:, 0]).float()
        return logits_BV

    def tensor(self, values: Sequence[int] | Sequence[float]) -> Tensor:
        """``values`` on the model's device."""
        return torch.tensor(values, device=self._device)

    @property
    def max_rows(self) -> int:
        """Answers in the making at one time, at most."""
        return self._max_rows

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return self._end_ids

    def _check(self, prompts: Sequence[Sequence[int]], params: Sequence[SamplingParams]) -> None:
        room = getattr(self.model.config, "max_position_embeddings", None)
        for prompt, one in zip(prompts, params, strict=True):
            if room is not None and len(prompt) + one.max_tokens > room:
                raise UserError(
                    f"a prompt has {len(prompt)} tokens and the answer may have "
                    f"{one.max_tokens}, but the model's context ends at {room}; lower max_tokens"
                )


class _Batch:
    """One call of ``sample``: the rows at work are always the first ones of the cache."""

    def __init__(
        self,
        sampler: Sampler,
        prompts: Sequence[Sequence[int]],
        params: Sequence[SamplingParams],
        num_samples: int,
    ) -> None:
        self._sampler = sampler
        self._prompts = prompts
        self._params = params
        self._waiting = deque((p, s) for p in range(len(prompts)) for s in range(num_samples))
        self._num_rows = min(sampler.max_rows, len(self._waiting))
        self._rows: list[Row] = []
        self._starts: dict[int, Start] = {}
        self._cache: RowCache | None = None
        self._done: dict[tuple[int, int], Sampled] = {}
        self.num_tokens = 0

    @property
    def num_done(self) -> int:
        """Answers that are whole."""
        return len(self._done)

    def results(self) -> list[list[Sampled]]:
        """All answers, by prompt and sample."""
        answers: list[list[Sampled]] = [[] for _ in self._prompts]
        for prompt, sample in sorted(self._done):
            answers[prompt].append(self._done[prompt, sample])
        return answers

    def refill(self) -> bool:
        """Give free rows the next answers; False when there is nothing left to do."""
        while self._waiting and len(self._rows) < self._num_rows:
            begun = [self._begin() for _ in range(self._room())]
            logits_BV = torch.stack([self._starts[row.prompt].logits_V for row in begun])
            self._take(begun, logits_BV)
            self._drop_starts()
        return bool(self._rows)

    def step(self) -> None:
        """One more token for every row."""
        assert self._cache is not None
        last_B = self._sampler.tensor([row.tokens[-1] for row in self._rows])
        slots_B = self._sampler.tensor([row.next_slot for row in self._rows])
        self._take(self._rows, self._sampler.extend(last_B, slots_B, self._cache))

    def _room(self) -> int:
        return min(len(self._waiting), self._num_rows - len(self._rows))

    def _begin(self) -> Row:
        prompt, sample = self._waiting.popleft()
        if prompt not in self._starts:
            self._prefill_from(prompt)
        prefix = self._starts[prompt].prefix
        row = self._row(prompt, sample, prefix.length)
        self._open_cache(prefix).write(len(self._rows), prefix)
        self._rows.append(row)
        return row

    def _prefill_from(self, prompt: int) -> None:
        """Read the next prompts together: as many as fill a batch and the free rows need."""
        chosen: list[int] = []
        width = 0
        for number in _next_prompts(prompt, self._waiting, self._room() + 1):
            width = max(width, len(self._prompts[number]))
            if chosen and width * (len(chosen) + 1) > PREFILL_TOKENS:
                break
            chosen.append(number)
        starts = self._sampler.prefill([self._prompts[number] for number in chosen])
        self._starts.update(zip(chosen, starts, strict=True))

    def _open_cache(self, like: Prefix) -> RowCache:
        if self._cache is None:
            sizes = zip(self._prompts, self._params, strict=True)
            num_slots = max(len(prompt) + one.max_tokens for prompt, one in sizes)
            self._cache = RowCache(like, num_rows=self._num_rows, num_slots=num_slots)
        return self._cache

    def _row(self, prompt: int, sample: int, num_prompt_tokens: int) -> Row:
        params = self._params[prompt]
        before = params.after or Sampled((), (), "length")
        num_draws = len(before.tokens) + params.max_tokens
        seed = derive(params.seed, params.first_sample + sample)
        generator = torch.Generator().manual_seed(seed)
        return Row(
            prompt,
            sample,
            params,
            draws=torch.rand(num_draws, generator=generator).tolist(),
            num_prompt_tokens=num_prompt_tokens,
            tokens=list(before.tokens),
            logprobs=list(before.logprobs),
            num_before=len(before.tokens),
        )

    def _take(self, rows: list[Row], logits_BV: Tensor) -> None:
        """Draw a token for each of ``rows`` and let those that end leave."""
        draws_B = self._sampler.tensor([row.draws[len(row.tokens)] for row in rows])
        tokens_B, logp_B = draw_each(logits_BV, draws_B, [row.params for row in rows])
        ended: list[tuple[Row, StopReason]] = []
        for row, token, logp in zip(rows, tokens_B.tolist(), logp_B.tolist(), strict=True):
            row.tokens.append(token)
            row.logprobs.append(logp)
            reason = self._end_of(row)
            if reason is not None:
                ended.append((row, reason))
        self.num_tokens += len(rows)
        for row, reason in ended:
            self._leave(row, reason)

    def _end_of(self, row: Row) -> StopReason | None:
        if row.tokens[-1] in self._sampler.end_ids:
            return "stop"
        early = reason_to_stop(row.tokens, row.logprobs, row.params, self._sampler.decode)
        if early is None and row.num_new == row.params.max_tokens:
            return "length"
        return early

    def _leave(self, row: Row, reason: StopReason) -> None:
        """Keep the answer; the last row moves to the place that became free."""
        new = slice(row.num_before, None)
        answer = Sampled(tuple(row.tokens[new]), tuple(row.logprobs[new]), reason)
        self._done[row.prompt, row.sample] = answer
        place, last = self._rows.index(row), self._rows.pop()
        if last is not row:
            assert self._cache is not None
            self._cache.move(len(self._rows), place, last.next_slot + 1)
            self._rows[place] = last

    def _drop_starts(self) -> None:
        """Forget prompts all of whose samples have begun."""
        needed = {prompt for prompt, _ in self._waiting}
        self._starts = {key: start for key, start in self._starts.items() if key in needed}


def _next_prompts(
    first: int, waiting: Sequence[tuple[int, int]], num_samples: int
) -> Iterator[int]:
    """Numbers of the prompts that the next ``num_samples`` samples belong to."""
    yield first
    last = first
    for prompt, _ in list(waiting)[:num_samples]:
        if prompt != last:
            yield prompt
            last = prompt


def draw_each(
    logits_BV: Tensor, draws_B: Tensor, params_B: Sequence[SamplingParams]
) -> tuple[Tensor, Tensor]:
    """``draw`` for rows that may differ in temperature and ``top_p``."""
    ways: dict[tuple[float, float], list[int]] = {}
    for row, params in enumerate(params_B):
        ways.setdefault((params.temperature, params.top_p), []).append(row)
    if len(ways) == 1:
        return draw(logits_BV, draws_B, params_B[0])
    tokens_B = torch.zeros_like(draws_B, dtype=torch.long)
    logp_B = torch.zeros_like(draws_B)
    for rows in ways.values():
        tokens_B[rows], logp_B[rows] = draw(logits_BV[rows], draws_B[rows], params_B[rows[0]])
    return tokens_B, logp_B


def draw(logits_BV: Tensor, draws_B: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """Tokens (B,) by inverse transform of uniform ``draws_B``, and their log-probabilities (B,).

    Temperature 0 takes the likeliest token. Log-probabilities are those of the whole
    vocabulary at the temperature (at 1 when it is 0).
    """
    logp_BV = (logits_BV / (params.temperature or 1.0)).log_softmax(-1)
    if params.temperature == 0:
        tokens_B = logp_BV.argmax(-1)
    elif params.top_p < 1:
        tokens_B = _draw_nucleus(logp_BV.exp(), draws_B, params.top_p)
    else:
        tokens_B = _invert(logp_BV.exp(), draws_B)
    return tokens_B, logp_BV.gather(-1, tokens_B[:, None])[:, 0]


def _draw_nucleus(probs_BV: Tensor, draws_B: Tensor, top_p: float) -> Tensor:
    sorted_BV, order_BV = probs_BV.sort(descending=True)
    # The token that crosses top_p stays in.
    sorted_BV[(sorted_BV.cumsum(-1) - sorted_BV) >= top_p] = 0
    return order_BV.gather(-1, _invert(sorted_BV, draws_B)[:, None])[:, 0]


def _invert(probs_BV: Tensor, draws_B: Tensor) -> Tensor:
    """Index at which the cumulative sum passes draw times total."""
    sums_BV = probs_BV.cumsum(-1)
    # Below the total even after rounding, so that the index exists and its token has mass.
    aims_B1 = (draws_B[:, None] * sums_BV[:, -1:]).clamp(
        max=sums_BV[:, -1:].nextafter(sums_BV.new_zeros(()))
    )
    return torch.searchsorted(sums_BV, aims_B1, right=True)[:, 0]
