"""Server-sent events, read over breaks of the connection without a loss or a double."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx

from kos.client.errors import KosError
from kos.client.wire import PASSING, Wire, pause

# Kos sends a heartbeat every few seconds; a silent line for this long is a dead one.
SILENCE = httpx.Timeout(10.0, read=45.0)
END = "end"


class Message(NamedTuple):
    """One event of a stream. ``id`` is empty where the stream gave none.

    One without ``event`` only says where the stream is.
    """

    id: str
    event: str
    data: str


def messages(lines: Iterable[str]) -> Iterator[Message]:
    """The events in ``lines``, as the standard says: a blank line ends one, ``:`` is a remark."""
    last_id, event, data, is_placed = "", "", list[str](), False
    for line in lines:
        if not line:
            if data or event:
                yield Message(last_id, event or "message", "\n".join(data))
            elif is_placed:
                yield Message(last_id, "", "")
            event, data, is_placed = "", [], False
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id":
                last_id, is_placed = value, True
            case "event":
                event = value
            case "data":
                data.append(value)


def follow(
    wire: Wire, path: str, *, after: int | None = 0, **params: Any
) -> Iterator[tuple[Message, Any]]:
    """Every event of ``path`` after number ``after``, with its JSON, until the stream says ``end``.

    Without a number it begins where the stream does. When the connection breaks it is opened again from the last event that came. Raises
    KosError when Kos refuses, or cannot be reached ``wire.tries`` times in a row.
    """
    seen, failed = after, 0
    while True:
        try:
            for message, data in _once(wire, path, seen, params):
                failed = 0
                if message.id.isdecimal():
                    if seen is not None and int(message.id) <= seen and message.event != END:
                        continue
                    seen = max(seen or 0, int(message.id))
                if not message.event:
                    continue
                yield message, data
                if message.event == END:
                    return
        except httpx.TransportError as error:
            failed += 1
            if failed >= wire.tries:
                raise wire.unreachable(error) from error
        except KosError as error:
            failed += 1
            if error.status not in PASSING or failed >= wire.tries:
                raise
        # A server that closes politely invites us back; not in a tight loop.
        wire.sleep(pause(max(1, failed)))


def _once(
    wire: Wire, path: str, seen: int | None, params: Mapping[str, Any]
) -> Iterator[tuple[Message, Any]]:
    headers = {"Accept": "text/event-stream"}
    if seen is not None:
        headers["Last-Event-ID"] = str(seen)
    with wire.open("GET", path, headers=headers, params=params, timeout=SILENCE) as response:
        yield from read_events(response.iter_lines())


def read_events(lines: Iterable[str]) -> Iterator[tuple[Message, Any]]:
    """Every event in ``lines`` with its JSON; raises KosError for one whose data is none."""
    for message in messages(lines):
        try:
            yield message, json.loads(message.data) if message.data else None
        except (ValueError, RecursionError) as error:
            raise KosError(
                502, "No event", f"the stream holds what is no JSON: {message.data[:80]!r}"
            ) from error
