"""Passing a request on to a deployment's server, and its answer back as it comes.

The lean way through Kos: bytes go through as whole events, nothing is parsed but the one event
that tells the token count, and nothing touches the database before the answer is over.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from apps.deployments import wire
from apps.deployments.metering import Meter, metered
from apps.deployments.models import Deployment, Usage
from apps.deployments.wire import Reply
from kos.serving.upstream import Pool, Response, UpstreamError

# The first event that brings something to read, and not only the role.
TOKEN = re.compile(rb'"(?:content|reasoning|reasoning_content|text|arguments)": ?"[^"]')
COUNTED = b'"completion_tokens"'
EVENT_END = re.compile(rb"\r?\n\r?\n")

POOL = Pool()
# A server that writes more without an end of the event is broken.
MOST_EVENT_BYTES = 4 << 20


async def relay(
    path: str, body: dict[str, Any], deployment: Deployment, *, meter: Meter, key: str = ""
) -> Reply:
    """Send ``body`` to ``path`` of the deployment's server; its answer, streamed or whole."""
    hides_usage = bool(body.get("stream")) and not _asks_for_usage(body)
    if body.get("stream"):
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    try:
        server = POOL.at(deployment.url)
        response = await server.post(path, json.dumps(body).encode(), key=key)
    except UpstreamError as error:
        with metered(meter):
            return wire.error(502, f"The server of {deployment.name!r} does not answer: {error}.")
    if is_success(response) and body.get("stream"):
        stream = _events(response, meter, hides_usage=hides_usage)
        await anext(stream)  # begun: from here on closing it closes the server's stream
        return Reply(200, stream, wire.EVENTS)
    return await _whole(response, meter)


def is_success(response: Response) -> bool:
    """Whether the server took the request."""
    return 200 <= response.status < 300


async def _whole(response: Response, meter: Meter) -> Reply:
    with metered(meter):
        async with response:
            try:
                data = await response.read_all()
            except UpstreamError as error:
                return wire.error(502, f"The server broke off: {error}.")
        if is_success(response):
            _count(data, meter)
            meter.status = Usage.Status.OK
        return Reply(response.status, data, response.headers.get("content-type", wire.JSON))


async def _events(
    response: Response, meter: Meter, *, hides_usage: bool
) -> AsyncGenerator[bytes, None]:
    """The server's events as they come; the first item is empty, and means it has begun."""
    with metered(meter):
        held = b""
        try:
            yield b""
            while chunk := await response.read():
                held += chunk
                end = _end_of_last_event(held)
                if not end:
                    continue
                events, held = held[:end], held[end:]
                if meter.first_token_seconds is None and TOKEN.search(events):
                    meter.see_token()
                if COUNTED in events:
                    events = _take_usage(events, meter, hides_usage=hides_usage)
                yield events
            if held:
                yield held
            meter.status = Usage.Status.OK
        except UpstreamError as error:
            sentence = f"The server broke off: {error}."
            yield wire.event({"error": {"message": sentence, "type": "server_error"}})
        finally:
            response.close()


def _end_of_last_event(text: bytes) -> int:
    """Where the last whole event ends; 0 if none does. Raises UpstreamError when none will."""
    end = text.rfind(b"\n\n")
    if end >= 0:
        return end + 2
    end = text.rfind(b"\r\n\r\n")
    if end < 0 and len(text) > MOST_EVENT_BYTES:
        raise UpstreamError(f"it sent an event of more than {MOST_EVENT_BYTES:,} bytes")
    return end + 4 if end >= 0 else 0


def _take_usage(events: bytes, meter: Meter, *, hides_usage: bool) -> bytes:
    """Read the token count; leave out its event where the caller did not ask for it."""
    kept = []
    for event in EVENT_END.split(events):
        _, _, data = event.partition(b"data:")
        is_bare = COUNTED in event and not _count(data, meter)
        if event and not (is_bare and hides_usage):
            kept.append(event + b"\n\n")
    return b"".join(kept)


def _count(data: bytes, meter: Meter) -> bool:
    """Read what an answer, or an event, took; whether it brings anything else."""
    try:
        body = json.loads(data)
    except ValueError:
        return True
    if not isinstance(body, dict):
        return True
    usage = body.get("usage") or {}
    meter.prompt_tokens = usage.get("prompt_tokens") or meter.prompt_tokens
    meter.completion_tokens = usage.get("completion_tokens") or meter.completion_tokens
    return bool(body.get("choices"))


def _asks_for_usage(body: Mapping[str, Any]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))
