"""OpenAI's words for a request and its answer, as the local server reads and writes them.

The additions (``return_token_ids``, ``token_ids``) are vLLM's.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from kos.engine.base import SamplingParams
from kos.serving.generation import Generation, Text


class Part(BaseModel):
    """A piece of a message; this server reads text only."""

    type: Literal["text"]
    text: str


class ChatTurn(BaseModel):
    """A message of the request."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Part] | None = ""

    def to_chat(self) -> dict[str, str]:
        """Role and plain text."""
        if isinstance(self.content, list):
            return {"role": self.role, "content": "".join(part.text for part in self.content)}
        return {"role": self.role, "content": self.content or ""}


class Request(BaseModel):
    """What both endpoints heed of OpenAI's request; the rest is passed over."""

    model: str
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    logprobs: bool | int | None = None
    return_token_ids: bool = False

    def to_generation(self) -> Generation:
        """The work for the model's thread."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        params = SamplingParams(
            max_tokens=self.longest or 1024,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=secrets.randbits(62) if self.seed is None else self.seed,
        )
        return Generation(self.asked, params, tuple(filter(None, stop)))

    @property
    def asked(self) -> list[dict[str, str]] | str:
        """The prompt."""
        raise NotImplementedError

    @property
    def longest(self) -> int | None:
        """Longest answer in tokens."""
        return self.max_tokens

    def answer(self) -> Answer:
        """The envelope of the answer."""
        raise NotImplementedError


class ChatRequest(Request):
    """``/v1/chat/completions``: the model's own template renders the messages."""

    messages: list[ChatTurn] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)

    @property
    def asked(self) -> list[dict[str, str]]:
        """The conversation."""
        return [turn.to_chat() for turn in self.messages]

    @property
    def longest(self) -> int | None:
        """OpenAI renamed the field; the new name wins."""
        return self.max_completion_tokens or self.max_tokens

    def answer(self) -> Answer:
        """A message."""
        return Answer(f"chatcmpl-{secrets.token_hex(8)}", self.model, int(time.time()))


class CompletionRequest(Request):
    """``/v1/completions``: the prompt is a text that the caller rendered."""

    prompt: str

    @property
    def asked(self) -> str:
        """The prompt as it is."""
        return self.prompt

    def answer(self) -> Answer:
        """A text, with token ids and log-probabilities where they are asked for."""
        return CompletionAnswer(
            f"cmpl-{secrets.token_hex(8)}",
            self.model,
            int(time.time()),
            has_logprobs=self.logprobs is not None and self.logprobs is not False,
            has_token_ids=self.return_token_ids,
        )


@dataclass
class Answer:
    """The envelope around a chat's answer, in OpenAI's words."""

    id: str
    model: str
    created: int
    num_prompt_tokens: int = 0

    @property
    def _object(self) -> str:
        return "chat.completion"

    def opening(self) -> dict[str, Any] | None:
        """What a stream begins with, if anything."""
        return self._chunk({"delta": {"role": "assistant", "content": ""}})

    def piece(self, piece: Text) -> dict[str, Any] | None:
        """A piece of a stream; None when there is nothing to tell yet."""
        return self._chunk({"delta": {"content": piece.text}}) if piece.text else None

    def closing(self, finish_reason: str) -> dict[str, Any]:
        """The piece of a stream that says why it ends."""
        return self._chunk({"delta": {}}, finish_reason)

    def usage_chunk(self, num_tokens: int) -> dict[str, Any]:
        """The last piece of a stream: what it took."""
        chunk = self._envelope(f"{self._object}.chunk") | {"choices": []}
        return chunk | {"usage": self._usage(num_tokens)}

    def whole(self, pieces: Sequence[Text], finish_reason: str, num_tokens: int) -> dict[str, Any]:
        """The answer in one piece."""
        text = "".join(piece.text for piece in pieces)
        choice = self._whole_choice(text, pieces) | {"index": 0, "finish_reason": finish_reason}
        body = self._envelope(self._object) | {"choices": [choice]}
        return body | {"usage": self._usage(num_tokens)}

    def _whole_choice(self, text: str, pieces: Sequence[Text]) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}

    def _chunk(self, part: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, **part, "finish_reason": finish_reason}
        return self._envelope(f"{self._object}.chunk") | {"choices": [choice]}

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _usage(self, num_tokens: int) -> dict[str, int]:
        return {
            "prompt_tokens": self.num_prompt_tokens,
            "completion_tokens": num_tokens,
            "total_tokens": self.num_prompt_tokens + num_tokens,
        }


@dataclass
class CompletionAnswer(Answer):
    """The envelope around a text; token ids and log-probabilities in vLLM's words."""

    has_logprobs: bool = False
    has_token_ids: bool = False

    @property
    def _object(self) -> str:
        return "text_completion"

    def opening(self) -> None:
        """A text begins with its first piece."""

    def piece(self, piece: Text) -> dict[str, Any] | None:
        """A piece of a stream; tokens whose text must wait are told at once all the same."""
        detail = self._detail([piece])
        return self._chunk({"text": piece.text} | detail) if piece.text or detail else None

    def closing(self, finish_reason: str) -> dict[str, Any]:
        """The piece of a stream that says why it ends."""
        return self._chunk({"text": ""}, finish_reason)

    def usage_chunk(self, num_tokens: int) -> dict[str, Any]:
        """The last piece of a stream: what it took."""
        return super().usage_chunk(num_tokens) | {"object": self._object}

    def _chunk(self, part: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return super()._chunk(part, finish_reason) | {"object": self._object}

    def _whole_choice(self, text: str, pieces: Sequence[Text]) -> dict[str, Any]:
        return {"text": text} | self._detail(pieces)

    def _detail(self, pieces: Sequence[Text]) -> dict[str, Any]:
        detail: dict[str, Any] = {}
        if self.has_logprobs:
            logprobs = [logprob for piece in pieces for logprob in piece.logprobs]
            detail["logprobs"] = {"token_logprobs": logprobs}
        if self.has_token_ids:
            detail["token_ids"] = [token for piece in pieces for token in piece.token_ids]
        return detail
