"""What a model's server streams: OpenAI's events, of chats and of completions, read as deltas."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from kos.errors import UserError
from kos.messages import ToolCall

# One event: a whole answer at once with the probabilities of each token.
MAX_EVENT_BYTES = 16_000_000
# Of the body of a refusal, which is a sentence.
MAX_REFUSAL_BYTES = 64_000
# What an event of another shape raises where it is read.
ODD = (TypeError, AttributeError, LookupError, ValueError, OverflowError)


@dataclass(frozen=True)
class Delta:
    """A piece of the answer.

    ``thinking`` is filled by servers that part it from the text themselves. The last deltas
    carry the finish reason, the whole tool calls, and the token counts when the server tells.
    ``token_ids`` and ``logprobs`` (natural logarithm) are those of the piece's tokens, where
    they were asked for and the server has them. ``seconds`` have passed since the request.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    num_tokens: int = 0
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    num_prompt_tokens: int = 0
    seconds: float = field(default=0.0, compare=False)


async def read_deltas(response: httpx.Response) -> AsyncGenerator[Delta, None]:
    """What a streamed answer says, to its ``[DONE]``.

    Raises ``UserError`` for an error inside the stream, httpx's for a stream that breaks off.
    """
    calls: dict[int, dict[str, str]] = {}
    is_finished = False
    async for data in sse_data(response.aiter_bytes()):
        if data == "[DONE]":
            return
        delta = _read(data, calls)
        is_finished = is_finished or bool(delta.finish_reason)
        if delta != Delta():
            yield delta
    if not is_finished:
        raise httpx.RemoteProtocolError("the stream ended without a finish reason")


async def sse_data(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The ``data`` of each server-sent event; one line an event, as OpenAI's servers write.

    Lines end at a newline byte only: ``str.splitlines`` would also cut at U+2028 and its like,
    which may stand unescaped inside the JSON.
    """
    held: list[bytes] = []
    num_held = 0
    async for chunk in chunks:
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*held, lines[0]))
            held, num_held = [], 0
        held.append(rest)
        num_held += len(rest)
        if num_held > MAX_EVENT_BYTES:
            raise httpx.RemoteProtocolError(f"an event of more than {MAX_EVENT_BYTES // 10**6} MB")
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").strip().decode(errors="replace")


def _read(data: str, calls: dict[int, dict[str, str]]) -> Delta:
    """One event. Raises ``UserError`` for one that tells of an error, httpx's for no event."""
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise httpx.RemoteProtocolError(f"an event that is no JSON: {data[:80]}") from error
    if isinstance(chunk, dict) and "error" in chunk:
        raise UserError(f"The model server says: {_error_text(chunk)}")
    try:
        return _delta(chunk, calls)
    except ODD as error:
        raise httpx.RemoteProtocolError(f"an event of another shape: {data[:80]}") from error


def _delta(chunk: Mapping[str, Any], calls: dict[int, dict[str, str]]) -> Delta:
    """One event of a chat, whose piece is ``delta``, or of a completion, whose piece is plain."""
    usage = chunk.get("usage") or {}
    counts = Delta(
        num_tokens=int(usage.get("completion_tokens") or 0),
        num_prompt_tokens=int(usage.get("prompt_tokens") or 0),
    )
    if not chunk.get("choices"):
        return counts
    choice = chunk["choices"][0]
    part = choice.get("delta") or {}
    for piece in part.get("tool_calls") or ():
        _add_call_piece(calls, piece)
    finish = _text(choice.get("finish_reason"))
    return replace(
        counts,
        text=_text(part.get("content") or choice.get("text")),
        thinking=_text(part.get("reasoning") or part.get("reasoning_content")),
        tool_calls=tuple(ToolCall(**calls[index]) for index in sorted(calls)) if finish else (),
        finish_reason=finish,
        token_ids=tuple(int(token) for token in choice.get("token_ids") or ()),
        logprobs=_logprobs(choice.get("logprobs") or {}),
    )


def _text(value: Any) -> str:
    """A text as it can be kept and sent on: half a character becomes a question mark."""
    if not isinstance(value, str | None):
        raise TypeError(f"a text is a {type(value).__name__}")
    return (value or "").encode(errors="replace").decode()


def _logprobs(found: Mapping[str, Any]) -> tuple[float, ...]:
    """Of the tokens that were sampled: a list of completions', a list of objects of chats'."""
    tokens = found.get("token_logprobs") or [
        token.get("logprob") for token in found.get("content") or ()
    ]
    return tuple(float(logprob) for logprob in tokens if logprob is not None)


def _add_call_piece(calls: dict[int, dict[str, str]], piece: Mapping[str, Any]) -> None:
    call = calls.setdefault(piece.get("index", 0), {"id": "", "name": "", "arguments": ""})
    function = piece.get("function") or {}
    call["id"] = _text(piece.get("id")) or call["id"]
    call["name"] = _text(function.get("name")) or call["name"]
    call["arguments"] += _text(function.get("arguments"))


async def raise_for_status(response: httpx.Response) -> None:
    """Raise ``UserError`` in the server's words when it refused the request."""
    if response.is_success:
        return
    raw = b""
    async for chunk in response.aiter_bytes():
        raw += chunk[: MAX_REFUSAL_BYTES - len(raw)]
        if len(raw) >= MAX_REFUSAL_BYTES:
            break
    body = raw.decode(errors="replace")
    try:
        text = _error_text(json.loads(body))
    except (ValueError, RecursionError):
        text = body[:300] or response.reason_phrase
    raise UserError(f"The model server refused the request ({response.status_code}): {text}")


def _error_text(body: Any) -> str:
    """OpenAI servers put a dictionary or a sentence below ``error``; FastAPI says ``detail``."""
    error = body.get("error", body.get("detail", body)) if isinstance(body, dict) else body
    text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    return text[:2000].encode(errors="replace").decode()
