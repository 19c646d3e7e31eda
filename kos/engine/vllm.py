"""Answers from a vLLM server that follows the trainer's weights by LoRA hot-swap.

Before the first answer of a new policy the adapter is saved, loaded under a new name, and the
old one unloaded; the prefix cache is emptied where the server offers that. Then a probe proves
that the server's log-probabilities of a fixed text are those of the new weights: some servers
take new weights without an error and go on with the old ones.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from kos.config.base import Adam
from kos.engine.base import (
    Datum,
    Engine,
    ForwardOutput,
    OnProgress,
    Sampled,
    SamplingParams,
    derive,
    spread,
)
from kos.engine.capabilities import Capability
from kos.engine.models import Chat
from kos.engine.stops import cut_early
from kos.errors import UserError
from kos.rl.losses.base import Loss
from kos.serving.client import connect_sync

TEXT = "A patient with chest pain for two hours should call an ambulance now."
PROBE_TOKENS = 64
# Requests at a time; the server batches them itself.
AT_ONCE = 64
# A long answer comes in one piece.
SILENCE_SECONDS = 3600.0
# A move of the trainer tells something from here on: in nats a token, and in times the distance
# that the rounding of two programs makes between them at the same weights.
VISIBLE = 1e-3
CLEAR_OF_ROUNDING = 3.0


class Server(Protocol):
    """Where a vLLM server listens, and how to have a fresh one."""

    url: str
    key: str
    can_restart: bool

    def start(self, adapter: Path, name: str) -> None:
        """Start it with ``adapter`` loaded as ``name``, or anew when it runs."""

    def check(self) -> None:
        """Raise what ended it, if anything did."""

    def close(self) -> None:
        """End it, if it is ours."""


@dataclass(frozen=True)
class Proof:
    """A probe of both sides: log-probabilities of the fixed text."""

    trainer: tuple[float, ...]
    server: tuple[float, ...]

    @property
    def distance(self) -> float:
        """Mean distance in nats a token."""
        return _distance(self.trainer, self.server)


class SampledElsewhere:
    """An engine whose answers come from a vLLM server. All else is the engine's own."""

    def __init__(self, engine: Engine, server: Server, folder: Path, *, tolerance: float) -> None:
        self.capabilities: frozenset[Capability] = engine.capabilities
        self.chat: Chat = engine.chat
        self._engine = engine
        self._server = server
        self._folder = folder
        self._tolerance = tolerance
        self._run = secrets.token_hex(3)
        self._loaded = ""
        self._loaded_version: int | None = None
        self._proof: Proof | None = None

    @property
    def version(self) -> int:
        """Optimiser steps taken."""
        return self._engine.version

    def describe(self) -> str:
        """Where it computes."""
        return f"{self._engine.describe()} Sampling on vLLM."

    def close(self) -> None:
        """End both."""
        try:
            self._server.close()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._engine.close()

    def forward(
        self, data: Sequence[Datum], loss: Loss, *, temperature: float = 1.0
    ) -> ForwardOutput:
        """The trainer's."""
        return self._engine.forward(data, loss, temperature=temperature)

    def forward_backward(
        self,
        data: Sequence[Datum],
        loss: Loss,
        *,
        temperature: float = 1.0,
        on_progress: OnProgress | None = None,
    ) -> ForwardOutput:
        """The trainer's."""
        return self._engine.forward_backward(
            data, loss, temperature=temperature, on_progress=on_progress
        )

    def optim_step(self, adam: Adam) -> dict[str, float]:
        """The trainer's; the server follows before the next answer."""
        return self._engine.optim_step(adam)

    def save_state(
        self, path: Path, *, step: int, memory: Mapping[str, Any] | None = None
    ) -> None:
        """The trainer's."""
        self._engine.save_state(path, step=step, memory=memory)

    def load_state(self, path: Path) -> tuple[int, dict[str, Any]]:
        """The trainer's; the server follows before the next answer."""
        self._loaded_version = None
        return self._engine.load_state(path)

    def reset_optimiser(self) -> None:
        """The trainer's."""
        self._engine.reset_optimiser()

    def save_weights(self, folder: Path) -> None:
        """The trainer's."""
        self._engine.save_weights(folder)

    def compute_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """The trainer's: what the server says is held against it."""
        return self._engine.compute_logprobs(sequences)

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams],
        *,
        num_samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> list[list[Sampled]]:
        """Answers from the server, which has the weights as they are now.

        Raises UserError when it cannot be brought to have them.
        """
        each = spread(params, len(prompts))
        self._sync()
        answers: list[list[Sampled]] = [[] for _ in prompts]
        num_tokens = num_done = 0
        with self._connect() as http, ThreadPoolExecutor(AT_ONCE) as pool:
            asked = {
                pool.submit(self._ask, http, prompt, own, num_samples): number
                for number, (prompt, own) in enumerate(zip(prompts, each, strict=True))
            }
            try:
                for future in as_completed(asked):
                    answers[asked[future]] = drawn = future.result()
                    num_tokens += sum(len(one.tokens) for one in drawn)
                    num_done += len(drawn)
                    if on_progress is not None:
                        on_progress(num_tokens, num_done)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return answers

    def _sync(self) -> None:
        """Let the server have the trainer's weights, and prove that it has."""
        version = self._engine.version
        self._server.check()
        if version == self._loaded_version:
            return
        name = f"kos-{self._run}-v{version}"
        adapter = self._folder / name
        shutil.rmtree(adapter, ignore_errors=True)
        self._engine.save_weights(adapter)
        # An adapter that was loaded before is asked for under a new name all the same.
        if not self._loaded and self._server.can_restart:
            self._server.start(adapter, name)
        else:
            self._swap(name, adapter)
        self._forget_old(name)
        if wrong := self._prove(name):
            if not self._server.can_restart:
                raise UserError(f"{wrong} Restart that server, or let Kos start its own.")
            self._server.start(adapter, name)
            if wrong := self._prove(name):
                raise UserError(f"{wrong} Even a fresh server does; use the sampler engine.")
        self._loaded, self._loaded_version = name, version

    def _swap(self, name: str, adapter: Path) -> None:
        with self._connect() as http:
            told = {"lora_name": name, "lora_path": str(adapter.resolve())}
            _answer(http.post("/v1/load_lora_adapter", json=told), "load an adapter")
            if self._loaded:
                old = {"lora_name": self._loaded}
                _answer(http.post("/v1/unload_lora_adapter", json=old), "unload an adapter")
            # Only in development mode; every version has its own name, so this is a second lock.
            http.post("/reset_prefix_cache")

    def _forget_old(self, name: str) -> None:
        for folder in self._folder.iterdir():
            if folder.name != name:
                shutil.rmtree(folder, ignore_errors=True)

    def _prove(self, name: str) -> str:
        """What is wrong with the server's weights; "" when they are the trainer's."""
        tokens = self.chat.tokenize(TEXT)[:PROBE_TOKENS]
        trainer = tuple(self._engine.compute_logprobs([tokens])[0])
        with self._connect() as http:
            found = Proof(trainer, tuple(_logprobs(http, name, tokens)))
        wrong = judge(found, self._proof, tolerance=self._tolerance)
        # Small updates add up: the next proof looks back to the last one that told something.
        if not wrong and (self._proof is None or has_moved(found, self._proof)):
            self._proof = found
        return wrong

    def _connect(self) -> httpx.Client:
        server = self._server
        return connect_sync(server.url, key=server.key, silence_seconds=SILENCE_SECONDS)

    def _ask(
        self, http: httpx.Client, prompt: Sequence[int], params: SamplingParams, num_samples: int
    ) -> list[Sampled]:
        begun = len(params.after.tokens) if params.after else 0
        body = {
            "model": self._loaded,
            "prompt": list(prompt),
            "n": num_samples,
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": derive(params.seed, params.first_sample, begun),
            "stop_token_ids": sorted(self.chat.end_ids),
            "skip_special_tokens": False,
            "logprobs": 1,
            "return_token_ids": True,
        }
        told = _answer(http.post("/v1/completions", json=body), "sample")
        choices = sorted(told["choices"], key=lambda choice: int(choice["index"]))
        drawn = [_sampled(choice) for choice in choices]
        return [cut_early(one, params, self.chat.decode) for one in drawn]


def judge(found: Proof, before: Proof | None, *, tolerance: float) -> str:
    """What ``found`` says is wrong with the server's weights; "" when nothing is.

    Two programs never agree to the last digit, so the distance may be up to ``tolerance``. An
    update smaller than that is proven by how both moved since ``before``, once that is clear of
    rounding: what the server keeps of old weights shows as a move it did not make.
    """
    if len(found.trainer) != len(found.server):
        return "The sampler read another number of tokens than the trainer."
    if found.distance > tolerance:
        return (
            f"The sampler's log-probabilities of a fixed text are {found.distance:.3f} nats a "
            f"token from the trainer's; {tolerance:g} is allowed. It does not have the new weights."
        )
    if before is None or not has_moved(found, before):
        return ""
    moved = [new - old for new, old in zip(found.trainer, before.trainer, strict=True)]
    followed = [new - old for new, old in zip(found.server, before.server, strict=True)]
    share = sum(a * b for a, b in zip(moved, followed, strict=True)) / sum(a * a for a in moved)
    if 0.5 < share < 1.5:
        return ""
    return (
        f"Since the last update the sampler's log-probabilities moved {share:.0%} of the way that "
        "the trainer's did. It does not have the new weights."
    )


def has_moved(found: Proof, before: Proof) -> bool:
    """Whether the trainer moved further than the two programs' rounding."""
    moved = _distance(before.trainer, found.trainer)
    return moved >= max(VISIBLE, CLEAR_OF_ROUNDING * before.distance)


def _logprobs(http: httpx.Client, model: str, tokens: Sequence[int]) -> list[float]:
    """The server's log-probability of each token but the first."""
    body = {
        "model": model,
        "prompt": list(tokens),
        "max_tokens": 1,
        "temperature": 1.0,
        "prompt_logprobs": 1,
    }
    told = _answer(http.post("/v1/completions", json=body), "read a text")
    rows = told["choices"][0].get("prompt_logprobs")
    if not rows or len(rows) != len(tokens):
        raise UserError("the sampler's server gives no log-probabilities of the prompt")
    return [
        float(row[str(token)]["logprob"]) for row, token in zip(rows[1:], tokens[1:], strict=True)
    ]


def _sampled(choice: Mapping[str, Any]) -> Sampled:
    tokens, logprobs = choice.get("token_ids"), choice.get("logprobs")
    if tokens is None or logprobs is None or len(tokens) != len(logprobs["token_logprobs"]):
        raise UserError(
            "the sampler's server gives no token ids with their log-probabilities "
            "(return_token_ids); vLLM 0.11 and later do"
        )
    reason = "length" if choice["finish_reason"] == "length" else "stop"
    return Sampled(
        tuple(tokens),
        tuple(map(float, logprobs["token_logprobs"])),
        "length" if reason == "length" else "stop",
    )


def _answer(response: httpx.Response, to: str) -> Any:
    """The JSON of a good answer; UserError with the server's words for another."""
    if response.is_success:
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return response.json() if is_json else {}
    hint = ""
    if response.status_code in (403, 404, 405) and "adapter" in to:
        hint = " Start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True."
    raise UserError(
        f"the sampler's server will not {to} ({response.status_code}: {response.text[:300]}).{hint}"
    )


def _distance(first: Sequence[float], second: Sequence[float]) -> float:
    pairs = list(zip(first, second, strict=True))
    return sum(abs(a - b) for a, b in pairs) / max(1, len(pairs))
