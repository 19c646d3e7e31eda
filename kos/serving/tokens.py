"""From messages to tokens and back: the model as the local server sees it.

``TokenModel`` is all the server needs; ``HuggingFaceModel`` runs one Hugging Face folder in
this process.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kos.engine.base import SamplingParams
from kos.errors import UserError

if TYPE_CHECKING:
    from kos.serving.rows import Row

# Stands for bytes that are not a whole character yet.
UNFINISHED = "\ufffd"


class TokenModel(Protocol):
    """A model that reads and says tokens, several answers at a time.

    ``begin`` gives a handle, ``step`` the next token of every answer begun and not ended, with
    its log-probability. Whoever calls them does so from one thread.
    """

    end_ids: frozenset[int]

    def encode(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The prompt for a conversation, ready for the answer to follow."""

    def tokenize(self, text: str) -> list[int]:
        """A prompt that was rendered elsewhere; markers of the template become its tokens."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``; bytes that are no character become U+FFFD."""

    def begin(self, prompt: Sequence[int], params: SamplingParams) -> Hashable:
        """Read a prompt. ``params.max_tokens`` is for the caller to heed."""

    def step(self) -> Sequence[tuple[Hashable, int, float]]:
        """One more token for every answer."""

    def end(self, handle: Any) -> None:
        """Go on without this answer."""


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
        from kos.engine.machine import probe
        from kos.engine.models import Chat, load_model
        from kos.engine.sampling import Sampler
        from kos.serving.rows import Rows

        machine = probe().use()
        self._chat = Chat.load(folder)
        self._rows = Rows(Sampler(load_model(folder, machine), self._chat.end_ids))
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

    def tokenize(self, text: str) -> list[int]:
        """Markers in ``text`` become their tokens, as the folder's tokenizer has them."""
        return self._chat.tokenize(text)

    def begin(self, prompt: Sequence[int], params: SamplingParams) -> Row:
        """Read the prompt, as far as nothing like it was read before."""
        return self._rows.begin(prompt, params)

    def step(self) -> list[tuple[Row, int, float]]:
        """Drawn as training draws: with the engine's sampler."""
        return self._rows.step()

    def end(self, handle: Row) -> None:
        """Its keys and values stay in memory for a conversation that goes on from there."""
        self._rows.end(handle)
