"""Answers that Kos itself renders and parses: one generation, or the whole harness.

Both become the same stream of ``Said`` and one ``Finished``, in OpenAI's words: thinking in
``reasoning`` and ``reasoning_content`` (servers and clients use either name), calls of the
caller's tools in ``tool_calls``, what the harness does in deltas with ``kos``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

from apps.automation.threads import in_thread
from apps.deployments import recording, services, wire
from apps.deployments.callers import Caller
from apps.deployments.harness import harness_of, limits_of, options_of
from apps.deployments.metering import MeteredClient
from apps.deployments.models import Deployment
from apps.deployments.request import ChatRequest, KosFields, read
from apps.deployments.wire import Envelope, Finished, Reply, Said
from kos.chat.calls import ParsedCall
from kos.chat.dialects import DIALECTS, schemas_of
from kos.chat.parse import ParsedTurn, Piece
from kos.chat.template import system_prompt
from kos.errors import UserError
from kos.harness.loop import (
    AgentDone,
    AgentStarted,
    AnswerDelta,
    Harness,
    Resampled,
    ThinkingDelta,
    ToolDone,
    ToolStarted,
    TurnDone,
    TurnEvent,
    with_system_prompt,
)
from kos.harness.record import rollout_of
from kos.messages import Message

TRACE_HEADER = "x-kos-trace-id"
Speech = AsyncGenerator[Said | Finished, None]
# What the loop says of its end, in OpenAI's words.
REASONS = {"time": "length", "turns": "length", "repetition": "length"}


async def answer(body: Mapping[str, Any], deployment: Deployment, caller: Caller) -> Reply:
    """The reply to a chat request. Raises UserError for a request that cannot be read."""
    request = read(body)
    if request.kos is None:
        speech = await _one_turn(request, deployment, caller)
    else:
        speech = await _harness(request, request.kos, deployment, caller)
    envelope = Envelope(request.model)
    if not request.stream:
        return await _whole(speech, envelope)
    try:
        first = await anext(speech)
    except UserError as error:
        return wire.error(502, str(error))
    stream = _stream(first, speech, envelope, wants_usage=request.wants_usage)
    return Reply(200, stream, wire.EVENTS)


async def _whole(speech: Speech, envelope: Envelope) -> Reply:
    """The answer in one piece; text and thinking joined, calls and activity listed."""
    texts: dict[str, str] = {"content": "", "reasoning": ""}
    calls: list[Any] = []
    activity: list[Any] = []
    finished: Finished | None = None
    try:
        async with aclosing(speech) as said:
            async for one in said:
                if isinstance(one, Finished):
                    finished = one
                    continue
                for name in texts:
                    texts[name] += one.delta.get(name) or ""
                if (one.delta.get("kos") or {}).get("resampled"):
                    texts = dict.fromkeys(texts, "")
                calls += [_without_index(call) for call in one.delta.get("tool_calls") or ()]
                activity += [one.delta["kos"]] if "kos" in one.delta else []
    except UserError as error:
        return wire.error(502, str(error))
    assert finished is not None, "an answer ends with Finished"
    message: dict[str, Any] = {"role": "assistant", "content": texts["content"] or None}
    if not calls:
        message["content"] = texts["content"]
    if texts["reasoning"]:
        message |= _thinking(texts["reasoning"])
    if calls:
        message["tool_calls"] = calls
    if activity:
        finished = replace(finished, kos={**finished.kos, "activity": activity})
    trace = finished.kos.get("trace_id")
    headers = {TRACE_HEADER: str(trace)} if trace else {}
    return Reply(200, envelope.whole(message, finished), headers=headers)


async def _stream(
    first: Said | Finished, speech: Speech, envelope: Envelope, *, wants_usage: bool
) -> AsyncGenerator[bytes, None]:
    async with aclosing(speech) as said:
        yield envelope.chunk({"role": "assistant", "content": ""})
        one: Said | Finished | None = first
        try:
            while one is not None:
                if isinstance(one, Said):
                    yield envelope.chunk(one.delta)
                else:
                    yield envelope.last_chunk(one)
                    if wants_usage:
                        yield envelope.usage_chunk(one)
                one = await anext(said, None)
        except UserError as error:
            yield wire.event({"error": {"message": str(error), "type": "server_error"}})
        yield wire.DONE


async def _one_turn(request: ChatRequest, deployment: Deployment, caller: Caller) -> Speech:
    client = MeteredClient(
        await in_thread(services.client_for, deployment),
        deployment,
        user_id=caller.user.pk,
        token_name=caller.token_name,
        source="api",
    )
    return _generate(request, deployment, client)


async def _generate(request: ChatRequest, deployment: Deployment, client: MeteredClient) -> Speech:
    """One generation in the deployment's dialect; calls are the caller's to make."""
    how, dialect = deployment.how, DIALECTS[deployment.dialect]()
    tools = request.declarations
    told = system_prompt(how.system_prompt, has_tools=bool(tools))
    messages = with_system_prompt(request.conversation(), told)
    prompt = dialect.render(messages, tools, tools_as=how.tools_as, thinking=how.thinking)
    parser = dialect.parser(schemas_of(tools), thinking=how.thinking, used=_call_ids(messages))
    limits = limits_of(deployment)
    seen = _Seen()
    stream = client.stream_raw(
        prompt,
        max_tokens=request.longest or limits.max_tokens,
        temperature=_or(request.temperature, limits.temperature),
        top_p=_or(request.top_p, limits.top_p),
        stop=(*dialect.stop_strings, *request.stops),
        seed=request.seed,
    )
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            seen.take(delta)
            for piece in parser.feed(delta.text):
                if said := _said(piece):
                    yield said
    turn = parser.close(seen.finish_reason)
    for piece in turn.tail:
        if said := _said(piece):
            yield said
    if calls := _calls(turn):
        yield Said({"tool_calls": calls})
    reason = "tool_calls" if calls else seen.finish_reason
    flags = {"flags": [*turn.flags]} if turn.flags else {}
    yield Finished(reason, seen.num_prompt_tokens, seen.num_tokens, flags)


class _Seen:
    """What the server's deltas say beside the text."""

    def __init__(self) -> None:
        self.finish_reason = "stop"
        self.num_prompt_tokens = 0
        self._told = 0
        self._pieces = 0

    def take(self, delta: Any) -> None:
        self.finish_reason = delta.finish_reason or self.finish_reason
        self.num_prompt_tokens = delta.num_prompt_tokens or self.num_prompt_tokens
        self._told = delta.num_tokens or self._told
        self._pieces += bool(delta.text)

    @property
    def num_tokens(self) -> int:
        return self._told or self._pieces


async def _harness(
    request: ChatRequest, kos: KosFields, deployment: Deployment, caller: Caller
) -> Speech:
    """The whole loop, with the tools that the request names."""
    wanted = {
        "tools_as": kos.declarations,
        "thinking": kos.thinking,
        "mode": kos.mode,
    }
    options = options_of(deployment).model_copy(
        update={name: value for name, value in wanted.items() if value is not None}
    )
    names = deployment.how.tools if kos.tools is True else kos.tools or ()
    harness = await in_thread(
        lambda: harness_of(
            deployment,
            user=caller.user,
            source="api",
            token_name=caller.token_name,
            tools=names,
            options=options,
        )
    )
    limits = replace(
        harness.limits,
        max_tokens=request.longest or harness.limits.max_tokens,
        temperature=_or(request.temperature, harness.limits.temperature),
        top_p=_or(request.top_p, harness.limits.top_p),
        seed=request.seed,
    )
    return _run(replace(harness, limits=limits), request, kos, deployment)


async def _run(
    harness: Harness, request: ChatRequest, kos: KosFields, deployment: Deployment
) -> Speech:
    messages = request.conversation()
    async with aclosing(harness.run(messages)) as events:
        async for event in events:
            if not isinstance(event, TurnDone):
                if said := _activity(event):
                    yield said
                continue
            told = _told(event)
            if kos.trace:
                told |= await _record(event, messages, deployment)
            reason = REASONS.get(event.stop_reason, event.stop_reason or "stop")
            yield Finished(reason, event.num_prompt_tokens, event.num_tokens, told)


async def _record(
    done: TurnDone, messages: Sequence[Message], deployment: Deployment
) -> dict[str, Any]:
    example = f"api-{wire.Envelope('').id.removeprefix('chatcmpl-')}"
    rollout = rollout_of(done, messages, model=deployment.name, example_id=example)
    trace = await in_thread(recording.record, deployment, rollout)
    return {"trace_id": trace} if trace else {}


def _activity(event: TurnEvent) -> Said | None:
    """What the loop does, as an answer's delta. Sub-agents' words are not the answer."""
    match event:
        case ThinkingDelta(text, "") if text:
            return Said(_thinking(text))
        case AnswerDelta(text, "") if text:
            return Said({"content": text})
        case Resampled(turn, flags, ""):
            return Said({"kos": {"resampled": {"turn": turn, "flags": [*flags]}}})
        case ToolStarted(call, agent):
            started = {"name": call.name, "arguments": call.arguments, "id": call.id}
            return Said({"kos": {"tool_started": started | _of(agent)}})
        case ToolDone():
            return Said({"kos": {"tool_done": _done(event) | _of(event.agent)}})
        case AgentStarted(agent, prompt):
            return Said({"kos": {"agent_started": {"agent": agent, "prompt": prompt}}})
        case AgentDone():
            return Said({"kos": {"agent_done": asdict(event)}})
    return None


def _done(event: ToolDone) -> dict[str, Any]:
    return {
        "id": event.call.id,
        "name": event.call.name,
        "is_error": event.is_error,
        "mode": event.mode,
        "notice": event.notice,
        "seconds": round(event.seconds, 3),
        "sources": [{"id": one.id, "title": one.title, "url": one.url} for one in event.sources],
    }


def _told(done: TurnDone) -> dict[str, Any]:
    """What Kos adds to the end of an answer."""
    cited = [
        {"number": one.number, "id": one.id, "title": one.title, "url": one.url}
        for one in done.citations
    ]
    told: dict[str, Any] = {"seconds": round(done.seconds, 3), "citations": cited}
    return told | ({"flags": [*done.flags]} if done.flags else {})


def _said(piece: Piece) -> Said | None:
    if piece.channel == "thinking":
        return Said(_thinking(piece.text))
    return Said({"content": piece.text}) if piece.channel == "answer" else None


def _thinking(text: str) -> dict[str, str]:
    return {"reasoning": text, "reasoning_content": text}


def _calls(turn: ParsedTurn) -> list[dict[str, Any]]:
    """The calls that could be read; one that was cut is only flagged.

    Whether the arguments fit the tool is the caller's to check, as everywhere at OpenAI's API.
    """
    whole = [call for call in turn.calls if isinstance(call.args, dict)]
    return [
        {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": _arguments(call)},
        }
        for index, call in enumerate(whole)
    ]


def _arguments(call: ParsedCall) -> str:
    """As the model wrote them, unless they had to be mended to be read."""
    try:
        is_plain = json.loads(call.arguments) == call.args
    except ValueError:
        is_plain = False
    return call.arguments if is_plain else json.dumps(call.args, ensure_ascii=False)


def _without_index(call: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in call.items() if name != "index"}


def _call_ids(messages: Sequence[Message]) -> list[str]:
    return [call.id for message in messages for call in message.tool_calls]


def _of(agent: str) -> dict[str, str]:
    return {"agent": agent} if agent else {}


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
