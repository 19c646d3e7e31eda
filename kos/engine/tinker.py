"""The engine on a Tinker-compatible service: Thinking Machines' own, SkyRL, or Kos's server.

Spoken through the public SDK 0.38, which brings its own retries. A loss that the service has
goes by its name there; any other is two passes: log-probabilities, then cross-entropy with the
weights that have the loss's gradient (``Loss.weights``).

The service trains and samples at temperature 1 only. Its adapter's alpha is its own, but for
Kos's server, which heeds the ``kos_lora_alpha`` sent along.
"""

from __future__ import annotations

import json
import math
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx
import torch
from torch import Tensor

from kos.config.base import Adam, Lora
from kos.engine.base import (
    Datum,
    ForwardOutput,
    OnProgress,
    Sampled,
    SamplingParams,
    derive,
    spread,
)
from kos.engine.batches import Batch
from kos.engine.capabilities import Capability
from kos.engine.models import Chat
from kos.engine.stops import cut_early
from kos.errors import UserError
from kos.files import replace_when_whole
from kos.rl.losses.base import Loss

CARD = "tinker.json"
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Account:
    """Which service, with whose key, and what of it. ``secret`` is what the key is called here."""

    base_url: str
    key: str = field(repr=False)
    secret: str
    model: str
    train_mlp: bool
    train_attn: bool
    train_unembed: bool
    losses: tuple[str, ...]
    keep_days: int

    @property
    def ttl_seconds(self) -> int:
        """How long the service keeps a checkpoint."""
        return self.keep_days * 86_400


class TinkerEngine:
    """One LoRA model on the service, made when it is first needed."""

    capabilities: frozenset[Capability] = frozenset(
        {"lora", "sample", "forward", "custom_loss", "prompt_logprobs"}
    )

    def __init__(
        self, account: Account, chat: Chat, *, lora: Lora, seed: int, start: str = ""
    ) -> None:
        self.chat = chat
        self.version = 0
        self._account = account
        self._lora = lora
        self._seed = seed
        self._start = start
        self._sdk = _load_sdk()
        _check_service(account, self._sdk)
        with self._said():
            self._service = self._sdk.ServiceClient(
                base_url=account.base_url or None, api_key=account.key
            )
        self._training: Any = None
        self._sampler: Any = None
        self._sampler_version = -1
        self._has_moments = False

    @classmethod
    def open(
        cls,
        account: Account,
        base: Path,
        *,
        lora: Lora,
        seed: int,
        adapter: Path | None = None,
    ) -> TinkerEngine:
        """A new adapter on the service, or one that was trained there (``adapter``).

        ``base`` is read for its tokenizer alone. Raises UserError when the SDK is missing, the
        service does not answer or does not know the key or the model.
        """
        start = "" if adapter is None else _start_of(adapter, account)
        return cls(account, Chat.load(base), lora=lora, seed=seed, start=start)

    def describe(self) -> str:
        """Where it computes."""
        where = self._account.base_url or "Tinker"
        return f"Training {self._account.model} on {where}, which samples, too."

    def close(self) -> None:
        """End the session; what was saved stays."""
        self._service.close("success").result(timeout=60)

    def forward(
        self, data: Sequence[Datum], loss: Loss, *, temperature: float = 1.0
    ) -> ForwardOutput:
        """The loss without gradients."""
        _check_temperature(temperature)
        rows = self._logprobs(data)
        return _output(data, rows, loss)

    def forward_backward(
        self,
        data: Sequence[Datum],
        loss: Loss,
        *,
        temperature: float = 1.0,
        on_progress: OnProgress | None = None,
    ) -> ForwardOutput:
        """The loss, its gradient added to what has gathered since the last ``optim_step``."""
        _check_temperature(temperature)
        wire = loss.wire()
        if wire is not None and wire.name in self._account.losses:
            sent = [self._sent(datum, wire.name, datum.advantages) for datum in data]
            rows = self._pass(sent, wire.name, dict(wire.config) or None)
        else:
            rows = self._logprobs(data)
            batch = _batch(data, rows)
            weights_BT = loss.weights(*batch)
            sent = [
                self._sent(datum, "cross_entropy", row[: len(datum.targets)])
                for datum, row in zip(data, weights_BT.tolist(), strict=True)
            ]
            self._pass(sent, "cross_entropy", None)
        if on_progress is not None:
            on_progress(len(data), len(data))
        return _output(data, rows, loss)

    def optim_step(self, adam: Adam) -> dict[str, float]:
        """Apply the gathered gradients; ``grad_norm`` is NaN where the service keeps it."""
        params = self._sdk.AdamParams(
            learning_rate=adam.learning_rate,
            beta1=adam.beta1,
            beta2=adam.beta2,
            eps=adam.eps,
            grad_clip_norm=adam.clip_norm,
        )
        with self._said():
            told = self._client().optim_step(params).result()
        self.version += 1
        self._has_moments = True
        return {"grad_norm": math.nan, **(told.metrics or {})}

    def save_state(
        self, path: Path, *, step: int, memory: Mapping[str, Any] | None = None
    ) -> None:
        """Keep weights and optimiser on the service, and where they are in the file ``path``."""
        state = {
            "service": self._save(f"step-{step:06d}"),
            "base_url": self._account.base_url,
            "step": step,
            "version": self.version,
            "has_moments": self._has_moments,
            "memory": dict(memory or {}),
        }
        with replace_when_whole(path) as file:
            file.write(json.dumps(state).encode())

    def load_state(self, path: Path) -> tuple[int, dict[str, Any]]:
        """Take up what ``save_state`` kept; UserError when the service has it no more."""
        state = json.loads(path.read_bytes())
        with self._said():
            self._training = self._service.create_training_client_from_state_with_optimizer(
                state["service"]
            ).result()
        self.version, self._has_moments = state["version"], state["has_moments"]
        self._sampler_version = -1
        memory: dict[str, Any] = state["memory"]
        return int(state["step"]), memory

    def reset_optimiser(self) -> None:
        """A new model from the same weights: the wire has no word for a reset."""
        if not self._has_moments:
            return
        with self._said():
            saved = self._save("reset")
            self._training = self._service.create_training_client_from_state(saved).result()
        self._has_moments = False

    def save_weights(self, folder: Path) -> None:
        """Download the adapter as a peft folder; a note in it lets a later run go on from it."""
        name = f"kos-{uuid.uuid4().hex[:12]}"
        state = self._save(name)
        with self._said():
            saved = self._client().save_weights_external(name).result()
            rest = self._sdk.RestClient(
                base_url=self._account.base_url or None, api_key=self._account.key
            )
            urls = rest.get_external_weights_urls(saved.path).result().urls
        folder.mkdir(parents=True, exist_ok=True)
        for file, url in urls.items():
            self._download(url, folder, file)
        if not (folder / "adapter_config.json").exists():
            raise UserError(
                f"the service's files ({', '.join(sorted(urls))}) are no peft adapter; the "
                f"trained weights stay there at {saved.path}"
            )
        card = {"state": state, "base_url": self._account.base_url, "model": self._account.model}
        (folder / CARD).write_text(json.dumps(card, indent=2))

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams],
        *,
        num_samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> list[list[Sampled]]:
        """Answers from the weights as they are now, all prompts at once."""
        each = spread(params, len(prompts))
        client = self._synced_sampler()
        with self._said():
            futures = [
                client.sample(
                    self._sdk.ModelInput.from_ints(list(prompt)),
                    num_samples,
                    self._how(own),
                )
                for prompt, own in zip(prompts, each, strict=True)
            ]
            answers: list[list[Sampled]] = []
            num_tokens = 0
            for future, own in zip(futures, each, strict=True):
                drawn = [_sampled(one) for one in future.result().sequences]
                answers.append([cut_early(one, own, self.chat.decode) for one in drawn])
                num_tokens += sum(len(one.tokens) for one in drawn)
                if on_progress is not None:
                    on_progress(num_tokens, len(answers) * num_samples)
        return answers

    def compute_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-probability of each token but the first, given those before it."""
        client = self._synced_sampler()
        with self._said():
            futures = [
                client.compute_logprobs(self._sdk.ModelInput.from_ints(list(ids)))
                for ids in sequences
            ]
            return [[float(logp) for logp in future.result()[1:]] for future in futures]

    def _client(self) -> Any:
        if self._training is None:
            account = self._account
            if self._start:
                future = self._service.create_training_client_from_state(self._start)
            else:
                future = self._service.create_lora_training_client(
                    account.model,
                    rank=self._lora.rank,
                    seed=self._seed,
                    train_mlp=account.train_mlp,
                    train_attn=account.train_attn,
                    train_unembed=account.train_unembed,
                    user_metadata={"kos_lora_alpha": f"{self._lora.alpha:g}"},
                )
            self._training = future.result()
        return self._training

    def _synced_sampler(self) -> Any:
        if self._sampler_version != self.version:
            with self._said():
                self._sampler = self._client().save_weights_and_get_sampling_client().result()
            self._sampler_version = self.version
        return self._sampler

    def _how(self, params: SamplingParams) -> Any:
        _check_temperature(params.temperature or 1.0)
        begun = params.after
        return self._sdk.SamplingParams(
            max_tokens=params.max_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            # An answer that goes on must not be drawn with the numbers it began with.
            seed=derive(params.seed, len(begun.tokens)) if begun else params.seed,
            stop=sorted(self.chat.end_ids),
        )

    def _logprobs(self, data: Sequence[Datum]) -> list[list[float]]:
        """Log-probabilities of all targets, without gradients."""
        zeros = [self._sent(datum, "cross_entropy", (0.0,) * len(datum.targets)) for datum in data]
        return self._pass(zeros, "cross_entropy", None, is_forward=True)

    def _pass(
        self,
        sent: list[Any],
        loss: str,
        config: dict[str, float] | None,
        *,
        is_forward: bool = False,
    ) -> list[list[float]]:
        with self._said():
            client = self._client()
            run = client.forward if is_forward else client.forward_backward
            told = run(sent, loss, config).result()
        return [list(one["logprobs"].data) for one in told.loss_fn_outputs]

    def _sent(self, datum: Datum, loss: str, weights: Sequence[float]) -> Any:
        masked = [weight * own for weight, own in zip(weights, datum.mask, strict=True)]
        inputs: dict[str, Any] = {"target_tokens": list(datum.targets)}
        if loss == "cross_entropy":
            inputs["weights"] = masked
        else:
            inputs |= {"logprobs": list(datum.logprobs), "advantages": masked}
        prompt = self._sdk.ModelInput.from_ints(list(datum.tokens))
        return self._sdk.Datum(model_input=prompt, loss_fn_inputs=inputs)

    def _save(self, name: str) -> str:
        """Weights and optimiser on the service; returns their path there."""
        unique = f"{name}-{uuid.uuid4().hex[:8]}"
        with self._said():
            saved = self._client().save_state(unique, ttl_seconds=self._account.ttl_seconds)
            path: str = saved.result().path
        return path

    def _download(self, url: str, folder: Path, name: str) -> None:
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise UserError(f"the service names a file {name!r}, which leads out of its folder")
        own = urlsplit(url).netloc == urlsplit(self._account.base_url).netloc
        # Signed addresses lie elsewhere, where the key has no business.
        headers = {"X-API-Key": self._account.key} if own else {}
        path = folder / place
        with (
            replace_when_whole(path) as file,
            httpx.stream("GET", url, headers=headers, timeout=60, follow_redirects=not own) as got,
        ):
            got.raise_for_status()
            for piece in got.iter_bytes():
                file.write(piece)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """What the service says is wrong as a UserError; its own failures pass."""
        try:
            yield
        except self._sdk.TinkerError as error:
            _retell(error, self._sdk, self._account)


def _load_sdk() -> Any:
    # Before the import: the SDK would tell its makers of every call and error.
    os.environ["TINKER_TELEMETRY"] = "0"
    try:
        import tinker
    except ImportError as error:
        raise UserError(
            "the engine tinker needs the public SDK; install it with pip install 'kos[tinker]' "
            "(tinker==0.38.0)"
        ) from error
    return tinker


def _check_service(account: Account, sdk: Any) -> None:
    """Raise UserError before anything is spent: no service, wrong key, unknown model."""
    if not account.key.startswith(("tml-", "eyJ")):
        raise UserError(f"the key {account.secret!r} does not begin with tml-, as Tinker's do")
    if account.base_url:
        _reach(account.base_url)
    try:
        rest = sdk.RestClient(base_url=account.base_url or None, api_key=account.key)
        models = rest.get_server_capabilities().result().supported_models
    except sdk.NotFoundError:
        return  # A small server may not tell.
    except sdk.TinkerError as error:
        _retell(error, sdk, account)
    names = [model.model_name for model in models if model.trainable is not False]
    if names and account.model not in names:
        raise UserError(
            f"the service does not train {account.model!r}; it has {', '.join(map(str, names))}"
        )


def _reach(base_url: str) -> None:
    """The SDK would go on trying for minutes; a service that does not listen is told at once."""
    for attempt in range(3):
        try:
            httpx.get(f"{base_url.rstrip('/')}/api/v1/healthz", timeout=CONNECT_SECONDS)
        except httpx.HTTPError as error:
            if attempt == 2:
                raise UserError(
                    f"nothing answers at {base_url} ({type(error).__name__}); is it running?"
                ) from error
            time.sleep(0.5)
        else:
            return


def _retell(error: Any, sdk: Any, account: Account) -> NoReturn:
    """A service's complaint as a sentence, never with the key in it."""
    where = account.base_url or "Tinker"
    words = str(error).replace(account.key, "…")
    match error:
        case sdk.AuthenticationError() | sdk.PermissionDeniedError():
            raise UserError(f"{where} refuses the key {account.secret!r}: {words}") from None
        case sdk.APIConnectionError():
            raise UserError(f"the connection to {where} broke: {words}") from None
        case sdk.APIStatusError() if error.status_code < 500:
            raise UserError(f"{where} refuses: {words}") from None
        case sdk.RequestFailedError() if error.category.value == "user":
            raise UserError(f"{where} refuses: {words}") from None
    raise RuntimeError(f"{where} failed: {words}") from None


def _start_of(adapter: Path, account: Account) -> str:
    """Where on the service an adapter's training state lies."""
    card = adapter / CARD
    found = json.loads(card.read_text()) if card.exists() else {}
    if (found.get("base_url"), found.get("model")) != (account.base_url, account.model):
        raise UserError(
            f"the adapter in {adapter.name} was not trained on this service with "
            f"{account.model!r}, and a service starts from its own checkpoints alone; leave it "
            "out, or train with the engine local"
        )
    state: str = found["state"]
    return state


def _check_temperature(temperature: float) -> None:
    if temperature != 1:
        raise UserError(
            f"a Tinker-compatible service trains at temperature 1, and this run samples at "
            f"{temperature:g}; set sampling.temperature to 1, or choose the engine local"
        )


def _batch(
    data: Sequence[Datum], rows: Sequence[Sequence[float]]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-probabilities, the sampler's, advantages and mask, all (B, T)."""
    known = [
        replace(datum, logprobs=tuple(map(float, row)))
        for datum, row in zip(data, rows, strict=True)
    ]
    numbers = tuple(range(len(data)))
    logp_BT = Batch(numbers, tuple(known)).pad("cpu")["logprobs"]
    padded = Batch(numbers, tuple(data)).pad("cpu")
    return (
        logp_BT * padded["mask"],
        padded["logprobs"],
        padded["advantages"],
        padded["mask"],
    )


def _output(data: Sequence[Datum], rows: Sequence[Sequence[float]], loss: Loss) -> ForwardOutput:
    """The loss in Kos's own words, so that it means the same on every engine."""
    with torch.no_grad():
        value = float(loss(*_batch(data, rows)))
    return ForwardOutput(
        value,
        tuple(
            tuple(float(logp) for logp, own in zip(row, datum.mask, strict=True) if own)
            for datum, row in zip(data, rows, strict=True)
        ),
    )


def _sampled(sequence: Any) -> Sampled:
    if sequence.logprobs is None:
        raise UserError("the service gives no log-probabilities with its samples")
    return Sampled(
        tuple(sequence.tokens), tuple(map(float, sequence.logprobs)), sequence.stop_reason
    )
