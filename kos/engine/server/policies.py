"""The models being trained: adapters over one base, each with its gradients and optimiser.

Everything here runs in the one thread of the work.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from kos.config.base import Adam, Lora
from kos.engine.local import LocalEngine
from kos.engine.lora import attach, share
from kos.engine.machine import Machine
from kos.engine.models import Chat, load_model
from kos.engine.server.futures import Json, Proto
from kos.engine.server.store import Card, Place, Store
from kos.engine.server.wire import AdamParams, Gradients, read_gradients, write_gradients
from kos.errors import UserError

STATE = "state.pt"


class Base:
    """The model in ``folder``: loaded once, its weights shared by every adapter."""

    def __init__(self, folder: Path, machine: Machine, *, name: str) -> None:
        self.folder = folder
        self.machine = machine.use()
        self.name = name
        self.chat = Chat.load(folder)
        self.model = load_model(folder, machine).requires_grad_(False)

    @property
    def context(self) -> int:
        """Tokens it reads at most."""
        room: int = getattr(self.model.config, "max_position_embeddings", 4096)
        return room

    @property
    def vocabulary(self) -> int:
        """Tokens it knows."""
        size: int = self.model.config.vocab_size
        return size

    def attach(self, card: Card, seed: int) -> LocalEngine:
        """An engine with a new adapter."""
        lora = Lora(rank=card.rank, alpha=card.alpha)
        model = attach(share(self.model), lora, seed=seed, targets=self._targets(card))
        return LocalEngine(model, self.chat, self.machine, self.folder)

    def with_adapter(self, folder: Path) -> Any:
        """The model with a saved adapter, to merge from."""
        return PeftModel.from_pretrained(share(self.model), folder)

    def _targets(self, card: Card) -> str | list[str]:
        """The linear layers that ``card`` trains, as peft names them."""
        if card.train_mlp and card.train_attn and not card.train_unembed:
            return "all-linear"
        head = self.model.get_output_embeddings()
        trained = []
        for name, module in self.model.named_modules():
            if not isinstance(module, torch.nn.Linear):
                continue
            if module is head:
                is_trained = card.train_unembed
            else:
                is_trained = card.train_attn if "attn" in name else card.train_mlp
            if is_trained:
                trained.append(name)
        return trained


@dataclass
class Policy:
    """One model in training. ``spoilt`` says why its gathered gradients are not to be applied."""

    model_id: str
    card: Card
    engine: LocalEngine
    spoilt: str = ""

    @property
    def has_gradients(self) -> bool:
        """Whether gradients wait for a step, which no file would keep."""
        return bool(self.spoilt) or any(w.grad is not None for w in self.engine.trainable())

    def gradients(self, sent: Any, base: Base) -> Proto:
        """Log-probabilities and the loss; gradients gather unless it is forward only.

        ``sent`` is the opened request. Raises UserError for what it cannot compute.
        """
        try:
            asked = read_gradients(sent)
            _check(asked, base)
            run = self.engine.forward if sent.forward_only else self.engine.forward_backward
            output = run(asked.data, asked.loss)
        except (UserError, RuntimeError, ValueError) as error:
            if not sent.forward_only:
                # Half a batch must not move the weights.
                self.spoilt = str(error)
            raise
        return Proto(write_gradients(output, sum(len(one.targets) for one in asked.data)))

    def step(self, params: AdamParams) -> Json:
        """AdamW; UserError, and nothing applied, when some gradients are missing."""
        if self.spoilt:
            reason, self.spoilt = self.spoilt, ""
            self.engine.model.zero_grad(set_to_none=True)
            raise UserError(
                "nothing was applied and the gradients are cleared, because a forward_backward "
                f"before failed: {reason}"
            )
        if params.learning_rate == 0:
            self.engine.model.zero_grad(set_to_none=True)
            return Json({"metrics": {}})
        with torch.no_grad():
            for weight in self.engine.trainable():
                weight.mul_(1 - params.learning_rate * params.weight_decay)
        adam = Adam(
            learning_rate=min(1.0, params.learning_rate),
            beta1=params.beta1,
            beta2=params.beta2,
            eps=params.eps,
            clip_norm=max(0.0, params.grad_clip_norm),
        )
        return Json({"metrics": self.engine.optim_step(adam)})

    def save(self, store: Store, place: Place, *, overwrite: bool = False) -> None:
        """Write the adapter, with the optimiser where training shall go on from it."""
        with store.write(place, self.card, overwrite=overwrite) as folder:
            if place.kind == "weights":
                self.engine.save_state(folder / STATE, step=0)
            else:
                self.engine.save_weights(folder)

    def load(self, folder: Path, *, with_optimiser: bool) -> None:
        """Take up what ``save`` wrote for training."""
        self.engine.load_state(folder / STATE)
        if not with_optimiser:
            self.engine.reset_optimiser()
        self.engine.model.zero_grad(set_to_none=True)
        self.spoilt = ""


class Policies:
    """All models in training, the ``most`` last used ones in memory, the others on disk."""

    def __init__(self, base: Base, store: Store, *, most: int) -> None:
        self._base = base
        self._store = store
        self._most = most
        self._held: OrderedDict[str, Policy] = OrderedDict()

    def begin(self, model_id: str, card: Card, seed: int) -> Policy:
        """A model with a new adapter."""
        policy = Policy(model_id, card, self._base.attach(card, seed))
        self._hold(policy)
        return policy

    def get(self, model_id: str) -> Policy:
        """A model, back from disk if it lay there."""
        if model_id not in self._held:
            folder, card = self._store.read(_parked(model_id))
            policy = Policy(model_id, card, self._base.attach(card, 0))
            policy.load(folder, with_optimiser=True)
            self._hold(policy)
        self._held.move_to_end(model_id)
        return self._held[model_id]

    def drop(self, model_id: str) -> None:
        """Forget a model, and what was kept of it for its session alone."""
        self._held.pop(model_id, None)
        for place, _ in self._store.saved(model_id, own=True):
            self._store.delete(place)

    def _hold(self, policy: Policy) -> None:
        """Keep it; the one that was not used for longest goes to disk, unless it is at work."""
        self._held[policy.model_id] = policy
        idle = [one for one in list(self._held.values())[:-1] if not one.has_gradients]
        for one in idle[: len(self._held) - self._most]:
            one.save(self._store, _parked(one.model_id), overwrite=True)
            del self._held[one.model_id]


def _parked(model_id: str) -> Place:
    return Place(model_id, "weights", "_parked")


def _check(asked: Gradients, base: Base) -> None:
    """Raise UserError for what the model cannot read: it would crash deep inside."""
    for number, datum in enumerate(asked.data):
        if len(datum.tokens) > base.context:
            raise UserError(
                f"datum {number} has {len(datum.tokens)} tokens; {base.name} reads {base.context}"
            )
        used = (*datum.tokens, *datum.targets)
        if not 0 <= min(used) <= max(used) < base.vocabulary:
            raise UserError(f"datum {number} has tokens beyond the {base.vocabulary} known")
