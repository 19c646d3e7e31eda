"""From messages to tokens and back: the model as the local server sees it.

``TokenModel`` is all the server needs; ``HuggingFaceModel`` runs one Hugging Face folder in
this process, a token at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kos.errors import UserError

# Stands for bytes that are not a whole character yet.
UNFINISHED = "\ufffd"


class TokenModel(Protocol):
    """A model that reads and says tokens."""

    end_ids: frozenset[int]

    def encode(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The prompt for a conversation, ready for the answer to follow."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``; bytes that are no character become U+FFFD."""

    def stream(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> Iterator[int]:
        """``max_tokens`` tokens after the prompt, ends included.

        Nothing is computed before the first ``next``, and nothing for tokens not asked for.
        """


@dataclass
class Detokeniser:
    """Turns tokens into text as they come, holding back characters that are not whole.

    The pieces, joined, are ``decode`` of all tokens. Only the tokens since the last piece are
    decoded again, together with the piece before: a tokenizer may drop a blank at the start.
    """

    decode: Callable[[Sequence[int]], str]
    _ids: list[int] = field(default_factory=list)
    _shown_from: int = 0
    _shown_to: int = 0

    def feed(self, token: int) -> str:
        """Take one token and return the text that is now settled."""
        self._ids.append(token)
        text = self._fresh()
        if text.endswith(UNFINISHED):
            return ""
        self._shown_from, self._shown_to = self._shown_to, len(self._ids)
        return text

    def close(self) -> str:
        """The rest, whole or not."""
        return self._fresh()

    def _fresh(self) -> str:
        shown = self.decode(self._ids[self._shown_from : self._shown_to])
        return self.decode(self._ids[self._shown_from :])[len(shown) :]


class HuggingFaceModel:
    """A causal language model from a Hugging Face folder, on the device of this machine.

    Raises ``UserError`` for a folder without a chat template.
    """

    def __init__(self, folder: Path) -> None:
        # Here and not at the top: torch takes seconds, and the client's users need none of it.
        import torch

        from kos.engine.machine import probe
        from kos.engine.models import Chat, load_model
        from kos.engine.sampling import Sampler

        machine = probe().use()
        self._torch = torch
        self._chat = Chat.load(folder)
        self._sampler = Sampler(load_model(folder, machine), self._chat.end_ids)
        self.end_ids = self._chat.end_ids

    def encode(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Render with the folder's own template; its complaints become a ``UserError``."""
        from jinja2 import TemplateError

        try:
            return self._chat.encode(messages)
        except TemplateError as error:
            raise UserError(f"The model's template refuses the conversation: {error}") from error

    def decode(self, ids: Sequence[int]) -> str:
        """The text as training and evaluation read it."""
        return self._chat.decode(ids)

    def stream(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> Iterator[int]:
        """Drawn as training draws: the engine's sampler, with one row."""
        from kos.engine.base import SamplingParams
        from kos.engine.cache import RowCache
        from kos.engine.sampling import draw

        params = SamplingParams(max_tokens, temperature, top_p, seed)
        generator = self._torch.Generator().manual_seed(seed)
        draws_T = self._torch.rand(max_tokens, generator=generator)
        # Not around the loop: the caller runs other streams between two tokens.
        with self._torch.inference_mode():
            (start,) = self._sampler.prefill([prompt])
            cache = RowCache(start.prefix, num_rows=1, num_slots=len(prompt) + max_tokens)
            cache.write(0, start.prefix)
            logits_1V = start.logits_V[None]
        for place in range(max_tokens):
            with self._torch.inference_mode():
                draw_1 = self._sampler.tensor([float(draws_T[place])])
                token = int(draw(logits_1V, draw_1, params)[0])
            yield token
            with self._torch.inference_mode():
                last_1 = self._sampler.tensor([token])
                slot_1 = self._sampler.tensor([len(prompt) + place])
                logits_1V = self._sampler.extend(last_1, slot_1, cache)
