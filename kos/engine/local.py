"""The engine in this process: torch and peft, on the CPU or one GPU.

Shapes: ``B`` sequences, ``T`` positions, ``P`` positions of a shared prefix, ``S`` = P + T,
``N`` action positions of a micro-batch, ``C`` hidden size, ``V`` vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import DynamicCache

from kos.config.base import Adam, Lora
from kos.engine.base import (
    Datum,
    ForwardOutput,
    OnProgress,
    Sampled,
    SamplingParams,
)
from kos.engine.batches import Batch, micro_batches
from kos.engine.capabilities import Capability
from kos.engine.checkpoint import read_state, write_state
from kos.engine.lora import attach, lighten, merge_into
from kos.engine.machine import Machine
from kos.engine.models import Chat, load_model
from kos.engine.sampling import Sampler
from kos.errors import UserError
from kos.rl.losses.base import CrossEntropy, Loss

# Rows of logits held at a time: 256 x 49,152 in float32 are 50 MB.
HEAD_ROWS = 256


class Read(NamedTuple):
    """A prefix that was read: its last hidden state, and keys and values by layer (1, H, P, D)."""

    last_11C: Tensor
    layers: list[tuple[Tensor, Tensor]]


class LocalEngine:
    """One LoRA policy and its sampler. The base is frozen in the machine's dtype."""

    capabilities: frozenset[Capability] = frozenset(
        {"lora", "sample", "forward", "custom_loss", "prompt_logprobs", "temperature", "adapter"}
    )

    def __init__(
        self,
        model: Any,
        chat: Chat,
        machine: Machine,
        base: Path,
        *,
        is_prefix_frozen: bool = False,
    ) -> None:
        self.model = model
        self.chat = chat
        self.version = 0
        self.machine = machine
        self._base = base
        self._body = model.get_base_model().get_decoder()
        self._head = model.get_base_model().get_output_embeddings()
        self._optimiser: torch.optim.Adam | None = None
        self._sampler: Sampler | None = None
        self._is_synced = False
        self._is_prefix_frozen = is_prefix_frozen
        self._read_prefix: tuple[tuple[int, ...], Read] | None = None

    @classmethod
    def open(
        cls,
        base: Path,
        machine: Machine,
        *,
        lora: Lora,
        seed: int,
        adapter: Path | None = None,
        is_prefix_frozen: bool = False,
    ) -> LocalEngine:
        """Load ``base`` with a new adapter on all its linear layers, or with ``adapter``.

        With ``is_prefix_frozen`` no gradient flows through what the prompts of a micro-batch
        share: it is read once for each state of the weights. Raises UserError when the
        adapter's rank is not the one asked for.
        """
        model = load_model(base, machine.use())
        if adapter is None:
            model = attach(model, lora, seed=seed)
        else:
            model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
            _check_rank(model, lora, adapter)
            lighten(model)
        chat = Chat.load(base)
        return cls(model, chat, machine, base, is_prefix_frozen=is_prefix_frozen)

    def forward(
        self, data: Sequence[Datum], loss: Loss, *, temperature: float = 1.0
    ) -> ForwardOutput:
        """The loss without gradients."""
        with torch.no_grad():
            return self._run(data, loss, temperature, None)

    def forward_backward(
        self,
        data: Sequence[Datum],
        loss: Loss,
        *,
        temperature: float = 1.0,
        on_progress: OnProgress | None = None,
    ) -> ForwardOutput:
        """The loss, its gradient added to what has gathered since the last ``optim_step``."""
        return self._run(data, loss, temperature, on_progress)

    def optim_step(self, adam: Adam) -> dict[str, float]:
        """Apply the gathered gradients and clear them; returns ``grad_norm`` before clipping."""
        weights = self.trainable()
        limit = adam.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(weights, limit)
        optimiser = self._prepare_optimiser(adam)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        self.version += 1
        self._forget()
        return {"grad_norm": float(self._whole(norm))}

    def save_state(
        self, path: Path, *, step: int, memory: Mapping[str, Any] | None = None
    ) -> None:
        """Write adapter, optimiser and machine to the file ``path``, whole or not at all."""
        adapter = get_peft_model_state_dict(
            self.model, state_dict=self._weights(), save_embedding_layers=False
        )
        state = {
            "step": step,
            "version": self.version,
            # As text: what torch loads without trust is tensors and plain values alone.
            "memory": json.dumps(memory or {}),
            "adapter": adapter,
            "optimiser": self._moments(),
            "machine": self.machine.to_json(),
        }
        self._write(path, state)

    def load_state(self, path: Path) -> tuple[int, dict[str, Any]]:
        """Take up what ``save_state`` wrote; returns its step and memory."""
        state = read_state(path)
        self._take_weights(state["adapter"])
        self._optimiser = None
        if state["optimiser"] is not None:
            self._take_moments(state["optimiser"])
        self.version = int(state["version"])
        self._forget()
        return int(state["step"]), json.loads(state["memory"])

    def reset_optimiser(self) -> None:
        """Forget moments and step count; the next step begins as the first did."""
        self._optimiser = None

    def describe(self) -> str:
        """Where it computes."""
        return self.machine.describe()

    def close(self) -> None:
        """Nothing to let go of: it lives and dies with the process."""

    def save_weights(self, folder: Path) -> None:
        """Write the adapter as a peft folder; equal weights give equal bytes."""
        # Embeddings are never trained; looking whether they were would ask a model hub.
        self.model.save_pretrained(folder, save_embedding_layers=False, state_dict=self._weights())
        config = folder / "adapter_config.json"
        # peft writes its sets of names in any order.
        settings = json.loads(config.read_text())
        settings["target_modules"] = sorted(settings["target_modules"])
        # Where the base lies on this machine is nobody else's matter.
        settings["base_model_name_or_path"] = self._base.name
        config.write_text(json.dumps(settings, indent=2, sort_keys=True))

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams],
        *,
        num_samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> list[list[Sampled]]:
        """Answers from the weights as they are now."""
        sampler = self._synced_sampler()
        return sampler.sample(prompts, params, num_samples=num_samples, on_progress=on_progress)

    def compute_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-probability of each token but the first, given those before it."""
        data = [Datum.of_answer(ids[:1], ids[1:], advantage=0.0) for ids in sequences]
        return [list(logp) for logp in self.forward(data, CrossEntropy()).logprobs]

    def _run(
        self,
        data: Sequence[Datum],
        loss: Loss,
        temperature: float,
        on_progress: OnProgress | None,
    ) -> ForwardOutput:
        total = 0.0
        logprobs: dict[int, tuple[float, ...]] = {}
        for batch in micro_batches(data):
            value, rows = self.run_batch(batch, loss, temperature)
            total += value
            logprobs.update(zip(batch.numbers, rows, strict=True))
            if on_progress is not None:
                on_progress(len(logprobs), len(data))
        return ForwardOutput(total, tuple(logprobs[number] for number in range(len(data))))

    def run_batch(
        self, batch: Batch, loss: Loss, temperature: float, *, is_idle: bool = False
    ) -> tuple[float, list[tuple[float, ...]]]:
        """One micro-batch: log-probabilities only where the policy chose the token.

        An idle one goes through the same motions with a loss of 0.
        """
        if self._is_prefix_frozen:
            batch = batch.with_whole_answers()
        tensors = batch.pad(self.machine.device)
        mask_BT = tensors["mask"].bool()
        hidden_BTC = self._hidden(batch.prefix, tensors["tokens"])
        logp_N = self._logprobs(hidden_BTC[mask_BT], tensors["targets"][mask_BT], temperature)
        logp_BT = torch.zeros_like(tensors["logprobs"]).masked_scatter(mask_BT, logp_N)
        value = 0.0 * logp_BT.sum()
        if not is_idle:
            value = loss(logp_BT, tensors["logprobs"], tensors["advantages"], tensors["mask"])
        if torch.is_grad_enabled():
            torch.autograd.backward(value)
        counts = [datum.num_actions for datum in batch.data]
        rows = [tuple(row.tolist()) for row in logp_N.detach().split(counts)]  # type: ignore[no-untyped-call]
        return float(value.detach()), rows

    def _hidden(self, prefix: tuple[int, ...], tokens_BT: Tensor) -> Tensor:
        """What predicts each target: (B, T, C), or (B, 1 + T, C) after a shared prefix.

        Padding lies on the right, where causal attention never looks.
        """
        if not prefix:
            hidden_BTC: Tensor = self._body(input_ids=tokens_BT, use_cache=False)[0]
            return hidden_BTC
        num_rows, length = tokens_BT.shape
        read = self._read(prefix)
        if length == 0:
            return read.last_11C.expand(num_rows, -1, -1)
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(read.layers):
            keys, values = (each.expand(num_rows, -1, -1, -1) for each in (keys, values))
            cache.update(keys, values, layer)
        places_T = torch.arange(len(prefix), len(prefix) + length, device=tokens_BT.device)
        sees_TS = places_T[:, None] >= torch.arange(len(prefix) + length, device=places_T.device)
        hidden_BTC = self._body(
            input_ids=tokens_BT,
            position_ids=places_T[None].expand(num_rows, -1),
            attention_mask=sees_TS[None, None],
            past_key_values=cache,
            use_cache=True,
        )[0]
        return torch.cat([read.last_11C.expand(num_rows, -1, -1), hidden_BTC], dim=1)

    def _read(self, prefix: tuple[int, ...]) -> Read:
        """The shared beginning: what it leaves for the sequences that follow."""
        if self._read_prefix is not None and self._read_prefix[0] == prefix:
            return self._read_prefix[1]
        cache = DynamicCache()
        ids_1P = torch.tensor([prefix], device=self.machine.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._is_prefix_frozen):
            read_1PC: Tensor = self._body(input_ids=ids_1P, past_key_values=cache, use_cache=True)[
                0
            ]
        layers: list[Any] = list(cache.layers)
        read = Read(read_1PC[:, -1:], [(layer.keys, layer.values) for layer in layers])
        if self._is_prefix_frozen:
            self._read_prefix = (prefix, read)
        return read

    def _logprobs(self, hidden_NC: Tensor, targets_N: Tensor, temperature: float) -> Tensor:
        """Log-probabilities (N,) of the targets, some rows of logits at a time."""
        parts = [
            checkpoint(
                self._head_logprobs,
                hidden,
                targets,
                temperature,
                use_reentrant=False,
                preserve_rng_state=False,
            )
            for hidden, targets in zip(
                torch.split(hidden_NC, HEAD_ROWS), torch.split(targets_N, HEAD_ROWS), strict=True
            )
        ]
        return torch.cat(parts)

    def _head_logprobs(self, hidden_NC: Tensor, targets_N: Tensor, temperature: float) -> Tensor:
        logits_NV = self._head(hidden_NC).float()
        if temperature != 1:
            logits_NV = logits_NV / temperature
        logp_NV = logits_NV.log_softmax(-1)
        logp_N: Tensor = logp_NV.gather(-1, targets_N[:, None])[:, 0]
        return logp_N

    def _forget(self) -> None:
        """The weights have changed: what was computed from them is stale."""
        self._is_synced = False
        self._read_prefix = None

    def trainable(self) -> list[Tensor]:
        """The adapter's weights."""
        return [weight for weight in self.model.parameters() if weight.requires_grad]

    def _weights(self) -> dict[str, Tensor]:
        """The adapter by the names of its parameters."""
        return {
            name: self._whole(weight.detach())
            for name, weight in self.model.named_parameters()
            if weight.requires_grad
        }

    def _take_weights(self, adapter: dict[str, Tensor]) -> None:
        set_peft_model_state_dict(self.model, adapter)

    def _moments(self) -> dict[str, Any] | None:
        return self._optimiser.state_dict() if self._optimiser else None

    def _take_moments(self, moments: dict[str, Any]) -> None:
        self._prepare_optimiser(Adam()).load_state_dict(moments)

    def _write(self, path: Path, state: Mapping[str, Any]) -> None:
        write_state(path, state)

    def _whole(self, weight: Tensor) -> Tensor:
        """All of a weight; an engine in shards gathers it."""
        return weight

    def _prepare_optimiser(self, adam: Adam) -> torch.optim.Adam:
        if self._optimiser is None:
            self._optimiser = torch.optim.Adam(self.trainable())
        for group in self._optimiser.param_groups:
            group["lr"] = adam.learning_rate
            group["betas"] = (adam.beta1, adam.beta2)
            group["eps"] = adam.eps
        return self._optimiser

    def _synced_sampler(self) -> Sampler:
        if self._sampler is None:
            model = load_model(self._base, self.machine)
            self._sampler = Sampler(model, self.chat.end_ids, decode=self.chat.decode)
        if not self._is_synced:
            merge_into(self._sampler.model, self.model, self._whole)
            self._is_synced = True
        return self._sampler


def _check_rank(model: Any, lora: Lora, adapter: Path) -> None:
    found = model.peft_config["default"]
    if found.r != lora.rank or found.lora_alpha != lora.alpha:
        raise UserError(
            f"the adapter in {adapter.name} has rank {found.r} and alpha {found.lora_alpha}, "
            f"but this run asks for {lora.rank} and {lora.alpha:g}; set both alike"
        )
