"""What the server does: sessions, models, saved weights. Called in the event loop."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kos.engine.server.futures import Answer, Failed, Futures, Json
from kos.engine.server.line import Line, Work
from kos.engine.server.policies import Base, Policies
from kos.engine.server.samplers import Question, Samplers, check
from kos.engine.server.store import CARD, KINDS, Card, Place, Store, parse
from kos.engine.server.wire import (
    CreateModel,
    LoadWeights,
    LoraConfig,
    OpenSampler,
    OptimStep,
    Sample,
    SaveWeights,
)
from kos.errors import UserError

# A client says that it lives every 10 s; one that was silent so long has gone.
LAPSE_SECONDS = 1800.0
MAX_WAITING = 8192


class BusyError(Exception):
    """Too much waits; the client comes again."""


class GoneError(Exception):
    """The session is over."""


@dataclass
class Turns:
    """A model's requests in their order: those that came too early wait. Numbers begin at 1."""

    expected: int = 1
    early: dict[int, Work] = field(default_factory=dict)

    def take(self, number: int | None, work: Work) -> list[Work]:
        """What may be done now; a request without a number is next."""
        self.early[self.expected if number is None else number] = work
        ready = []
        while self.expected in self.early:
            ready.append(self.early.pop(self.expected))
            self.expected += 1
        return ready


@dataclass
class Session:
    """A client's session."""

    heard: float = field(default_factory=time.monotonic)


class Service:
    """All state of the server."""

    def __init__(self, base: Base, store: Store, *, alpha: float, max_models: int) -> None:
        self.base = base
        self.store = store
        self.futures = Futures()
        self._alpha = alpha
        self._line = Line(Samplers(base, store), self.futures)
        self._sessions: dict[str, Session] = {}
        self._cards: dict[str, Card] = {}
        self._policies = Policies(base, store, most=max_models)
        self._turns: dict[str, Turns] = {}
        self._samplers: dict[str, Place | None] = {}

    @property
    def is_alive(self) -> bool:
        """Whether the thread of the work still works."""
        return self._line.is_alive

    def close(self) -> None:
        """End the thread of the work."""
        self._line.close()

    # --- Sessions ---------------------------------------------------------------------------
    def create_session(self) -> str:
        """Begin a session; those nobody hears of any more are ended."""
        for session_id, session in list(self._sessions.items()):
            if time.monotonic() - session.heard > LAPSE_SECONDS:
                self.finish(session_id)
        session_id = f"kos-{uuid.uuid4().hex[:12]}"
        self._sessions[session_id] = Session()
        return session_id

    def beat(self, session_id: str) -> None:
        """The client lives; GoneError when its session does not."""
        self._session(session_id).heard = time.monotonic()

    def finish(self, session_id: str) -> None:
        """End a session: its models and what it saved for itself alone go."""
        self._sessions.pop(session_id, None)
        prefix = f"{session_id}:"
        for model_id in [key for key in self._cards if key.startswith(prefix)]:
            del self._cards[model_id], self._turns[model_id]
            # In line after what is being done with it.
            self._line.put(Work(model_id, lambda model_id=model_id: self._unload(model_id)))  # type: ignore[misc]
        for sampler_id in [key for key in self._samplers if key.startswith(prefix)]:
            del self._samplers[sampler_id]
        self.futures.drop(prefix)

    def _unload(self, model_id: str) -> Answer:
        self._policies.drop(model_id)
        return Json({})

    def _session(self, session_id: str) -> Session:
        if session_id not in self._sessions:
            raise GoneError
        return self._sessions[session_id]

    # --- Models -----------------------------------------------------------------------------
    def create_model(self, asked: CreateModel) -> tuple[str, str]:
        """A new adapter; returns the request's and the model's ids."""
        self._check_base(asked.base_model)
        if asked.optimizer_config.type != "adamw":
            raise UserError(f"this server has adamw, and no {asked.optimizer_config.type!r}")
        lora = asked.lora_config or LoraConfig()
        if not (lora.train_mlp or lora.train_attn or lora.train_unembed):
            raise UserError("nothing would be trained: set train_mlp, train_attn or train_unembed")
        card = Card(
            base_model=self.base.name,
            rank=lora.rank,
            alpha=self._alpha_of(asked.user_metadata),
            train_mlp=lora.train_mlp,
            train_attn=lora.train_attn,
            train_unembed=lora.train_unembed,
        )
        seed = uuid.uuid4().int >> 66 if lora.seed is None else abs(lora.seed)

        def run(model_id: str) -> Answer:
            self._policies.begin(model_id, card, seed)
            return Json({"type": "create_model", "model_id": model_id})

        return self._begin(asked.session_id, asked.model_seq_id, card, run)

    def load_weights(self, asked: LoadWeights) -> tuple[str, str]:
        """Saved weights into a model of the session, or into a new one."""
        place = parse(asked.path)
        if place.kind != "weights":
            raise UserError(f"{place} is for sampling; training goes on from tinker://…/weights/…")
        folder, card = self.store.read(place)

        def load(model_id: str) -> Answer:
            self._policies.get(model_id).load(folder, with_optimiser=asked.optimizer)
            return Json({"type": "load_weights", "path": str(place), "model_id": model_id})

        def begin(model_id: str) -> Answer:
            self._policies.begin(model_id, card, 0)
            return load(model_id)

        if asked.session_id is not None and asked.model_seq_id is not None:
            return self._begin(asked.session_id, asked.model_seq_id, card, begin)
        if asked.model_id is None:
            raise UserError("load_weights needs a model_id, or a session_id and a model_seq_id")
        own, found = self._card(asked.model_id), card
        if (own.rank, own.train_unembed) != (found.rank, found.train_unembed):
            raise UserError(f"{place} has rank {found.rank}, the model {own.rank}; create another")
        model_id = asked.model_id
        return self._take_turn(model_id, asked.seq_id, lambda: load(model_id)), model_id

    def info(self, model_id: str) -> dict[str, Any]:
        """What a model is."""
        card = self._card(model_id)
        return {
            "type": "get_info",
            "model_id": model_id,
            "model_name": card.base_model,
            "is_lora": True,
            "lora_rank": card.rank,
            "optimizer_config": {"type": "adamw"},
            "model_data": {
                "arch": self.base.model.config.model_type,
                "model_name": card.base_model,
                "tokenizer_id": str(self.base.folder),
            },
        }

    def gradients(self, sent: Any) -> str:
        """Queue a forward pass or gradients; ``sent`` is the opened request."""
        policy: str = sent.model_id
        self._card(policy)
        return self._take_turn(
            policy, sent.seq_id, lambda: self._policies.get(policy).gradients(sent, self.base)
        )

    def fail(self, model_id: str, number: int | None, sentence: str) -> str | None:
        """Let a request that cannot be read take its turn all the same, and fail in it.

        The requests after it would wait for it forever. None when there is no such model.
        """

        def run() -> Answer:
            raise UserError(sentence)

        known = model_id in self._cards
        return self._take_turn(model_id, number, run) if known else None

    def step(self, asked: OptimStep) -> str:
        """Queue an optimiser step."""
        params = asked.adam_params
        if params is None:
            raise UserError("this server has adamw alone; send adam_params")
        self._card(asked.model_id)
        return self._take_turn(
            asked.model_id, asked.seq_id, lambda: self._policies.get(asked.model_id).step(params)
        )

    def save(self, asked: SaveWeights, kind: str) -> str:
        """Queue the saving of weights; without a name they are the session's own sampler."""
        self._card(asked.model_id)
        session_id = asked.model_id.partition(":")[0]
        sampler_id = f"{session_id}:sample:{asked.sampling_session_seq_id}"
        is_own = kind == "sampler_weights" and asked.path is None
        if (asked.sampling_session_seq_id if is_own else asked.path) is None:
            raise UserError("give the weights a name (path)")
        name = f"_session-{asked.sampling_session_seq_id}" if is_own else asked.path or ""
        place = Place(asked.model_id, kind, name)
        verb = "save_weights_for_sampler" if kind == "sampler_weights" else "save_weights"

        def run() -> Answer:
            overwrite = asked.overwrite or is_own
            self._policies.get(asked.model_id).save(self.store, place, overwrite=overwrite)
            told = {"sampling_session_id": sampler_id} if is_own else {"path": str(place)}
            return Json({"type": verb if kind != "external_weights" else None, **told})

        request_id = self._take_turn(asked.model_id, asked.seq_id, run)
        if is_own:
            self._samplers[sampler_id] = place
        return request_id

    def _begin(
        self, session_id: str, number: int, card: Card, run: Callable[[str], Answer]
    ) -> tuple[str, str]:
        self._session(session_id)
        model_id = f"{session_id}:train:{number}"
        request_id = f"{model_id}:0"
        if request_id not in self.futures:
            self._cards[model_id], self._turns[model_id] = card, Turns()
            self._queue([Work(request_id, lambda: run(model_id))])
        return request_id, model_id

    def _take_turn(self, model_id: str, number: int | None, run: Callable[[], Answer]) -> str:
        turns = self._turns[model_id]
        place = turns.expected if number is None else number
        request_id = f"{model_id}:{place}"
        # A client whose connection broke sends the same once more.
        if request_id in self.futures:
            return request_id
        if place < turns.expected:
            raise UserError(f"request {place} of {model_id} was answered long ago")
        self.futures.open(request_id)
        for work in turns.take(number, Work(request_id, run)):
            self._line.put(work)
        return request_id

    def _queue(self, works: list[Work | Question]) -> None:
        if self.futures.num_pending > MAX_WAITING:
            raise BusyError
        for work in works:
            self.futures.open(work.request_id)
            self._line.put(work)

    def _card(self, model_id: str) -> Card:
        if model_id not in self._cards:
            raise UserError(f"there is no model {model_id!r} here; create one in this session")
        return self._cards[model_id]

    def _check_base(self, name: str) -> None:
        if name not in (self.base.name, str(self.base.folder)):
            raise UserError(f"this server has the base {self.base.name!r}, and no {name!r}")

    def _alpha_of(self, metadata: dict[str, Any] | None) -> float:
        """Tinker's wire has no alpha: it is the server's, or what the metadata asks for."""
        asked = (metadata or {}).get("kos_lora_alpha")
        try:
            alpha = self._alpha if asked is None else float(asked)
        except ValueError:
            raise UserError(f"kos_lora_alpha is {asked!r}, which is no number") from None
        if not 0 < alpha < 1e6:
            raise UserError(f"kos_lora_alpha is {alpha:g}; it must be over 0")
        return alpha

    # --- Samplers ---------------------------------------------------------------------------
    def open_sampler(self, asked: OpenSampler) -> str:
        """A session that samples from saved weights or from the base."""
        self._session(asked.session_id)
        sampler_id = f"{asked.session_id}:sample:{asked.sampling_session_seq_id}"
        self._samplers[sampler_id] = self._weights(asked.model_path, asked.base_model)
        return sampler_id

    def sampler(self, sampler_id: str) -> dict[str, Any]:
        """What a sampler samples from."""
        if sampler_id not in self._samplers:
            raise UserError(f"there is no sampler {sampler_id!r}")
        place = self._samplers[sampler_id]
        return {
            "sampler_id": sampler_id,
            "base_model": self.base.name,
            "model_path": None if place is None else str(place),
        }

    def sample(self, asked: Sample) -> tuple[str, list[str]]:
        """Queue a question; returns its id and one id a sequence."""
        check(asked, self.base)
        session = asked.sampling_session_id
        if session is None:
            weights = self._weights(asked.model_path, asked.base_model)
            request_id = f"sample:{uuid.uuid4().hex}"
        elif session in self._samplers:
            weights = self._samplers[session]
            request_id = f"{session}:{asked.seq_id}"
        else:
            raise UserError(f"there is no sampler {session!r}")
        if request_id not in self.futures:
            self._queue([Question(request_id, weights, asked)])
        return request_id, [f"{request_id}:{number}" for number in range(asked.num_samples)]

    def _weights(self, path: str | None, base_model: str | None) -> Place | None:
        if path is None:
            self._check_base(base_model or self.base.name)
            return None
        place = parse(path)
        if place.kind == "weights":
            raise UserError(f"{place} is for training; sample from tinker://…/sampler_weights/…")
        self.store.read(place)
        return place

    # --- What is saved ----------------------------------------------------------------------
    def checkpoints(self, model_id: str) -> list[dict[str, Any]]:
        """All that was saved of a model, as the SDK reads it."""
        return [
            {
                "checkpoint_id": f"{place.kind}/{place.name}",
                "checkpoint_type": KINDS[place.kind],
                "time": _time(folder.stat().st_mtime),
                "tinker_path": str(place),
                "size_bytes": sum(file.stat().st_size for file in folder.iterdir()),
            }
            for place, folder in self.store.saved(model_id)
        ]

    def files(self, place: Place) -> list[str]:
        """Names of the files to download."""
        folder, _ = self.store.read(place)
        return sorted(file.name for file in folder.iterdir() if file.name != CARD)

    def weights_info(self, path: str) -> dict[str, Any]:
        """What saved weights are."""
        _, card = self.store.read(parse(path))
        return {
            "base_model": card.base_model,
            "is_lora": True,
            "lora_rank": card.rank,
            "train_unembed": card.train_unembed,
            "train_mlp": card.train_mlp,
            "train_attn": card.train_attn,
        }

    def training_run(self, model_id: str) -> dict[str, Any]:
        """A model as the SDK lists it."""
        saved = self.checkpoints(model_id)
        if model_id not in self._cards and not saved:
            raise UserError(f"there is no training run {model_id!r}")
        card = self._cards.get(model_id)
        if card is None:
            _, card = self.store.read(parse(saved[0]["tinker_path"]))
        return {
            "training_run_id": model_id,
            "base_model": card.base_model,
            "model_owner": "kos",
            "is_lora": True,
            "lora_rank": card.rank,
            "last_request_time": saved[-1]["time"] if saved else _time(time.time()),
            "last_checkpoint": _last(saved, "training"),
            "last_sampler_checkpoint": _last(saved, "sampler"),
        }

    def training_runs(self) -> list[dict[str, Any]]:
        """All models there are or something is saved of."""
        return [self.training_run(one) for one in sorted({*self._cards, *self.store.models()})]


def failure(answer: Failed) -> dict[str, str]:
    """A failed answer as the SDK reads it."""
    return {"error": answer.error, "category": answer.category}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _last(saved: list[dict[str, Any]], sort: str) -> dict[str, Any] | None:
    return next((one for one in reversed(saved) if one["checkpoint_type"] == sort), None)
