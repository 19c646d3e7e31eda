"""One question, several sources: the first that can answer does, and says so.

A source is passed over when it is not ready, breaks, is too slow or too busy. A healthy live
source without hits has answered: nothing is made up for it from elsewhere, unless the desk
merges.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kos.chat.neutralise import neutralise
from kos.errors import UserError
from kos.tools.base import Found, Mode, Record
from kos.tools.desk import Desk, Provider, Readiness
from kos.tools.net.cache import key_of, pack, seconds_kept, unpack
from kos.tools.net.failures import UnavailableError
from kos.tools.registry import chain_of

logger = logging.getLogger(__name__)

# A call has 12 seconds in all: what lies on this machine must still get its turn.
LIVE_SECONDS = 10.0
SOURCE_SECONDS = 8.0
# No hits today may be hits tomorrow.
EMPTY_SECONDS_KEPT = 900.0


@dataclass(frozen=True)
class Passed:
    """A source that was passed over, and why; ``was_ready`` when it could have been asked."""

    provider: Provider
    reason: str
    was_ready: bool


async def ask(tool: str, arguments: Mapping[str, Any], desk: Desk) -> Found:
    """Put the question to the sources of ``tool`` in the desk's order.

    Where no source is ready the result is honestly empty; where one was asked and broke and
    none could stand in, ``UserError`` says so.
    """
    passed: list[Passed] = []
    ends = asyncio.get_running_loop().time() + LIVE_SECONDS
    unmatched: Found | None = None
    for provider in chain_of(tool, desk):
        readiness = await _ready(provider, desk)
        if not readiness.is_ready:
            passed.append(Passed(provider, readiness.reason, was_ready=False))
            continue
        try:
            records = await _ask_one(provider, arguments, desk, ends=ends)
        except UnavailableError as error:
            passed.append(Passed(provider, str(error), was_ready=True))
            continue
        found = Found(
            records, notice_of(provider, records, passed, desk), _mode(provider, records)
        )
        if records or provider.mode == "embedded" or not desk.is_merging_embedded:
            return found if records or unmatched is None else unmatched
        unmatched = unmatched or found
        passed.append(Passed(provider, "no hits", was_ready=True))
    return unmatched or _nothing(tool, passed, desk)


def notice_of(
    provider: Provider, records: Sequence[Record], passed: Sequence[Passed], desk: Desk
) -> str:
    """One line on where the records come from and, where it fell back, why."""
    mode = _mode(provider, records)
    version = _common(record.provenance.data_version for record in records)
    source = f"{mode} {provider.title}" + (f" {version}" if version else "")
    if mode == "cache":
        source += f", retrieved {records[0].provenance.retrieved_at}"
    return "; ".join([f"source: {source}", *_reasons(provider, passed, desk)])


def clean(record: Record) -> Record:
    """The record without live control tokens, its title on one line, its URL one that opens."""
    is_link = record.url.lower().startswith(("http://", "https://", "kos://"))
    return replace(
        record,
        title=neutralise(" ".join(record.title.split())),
        url=record.url if is_link else "",
        text=neutralise(record.text),
        sections={neutralise(name): neutralise(text) for name, text in record.sections.items()},
    )


async def _ready(provider: Provider, desk: Desk) -> Readiness:
    if provider.mode == "live":
        return provider.ready(desk)
    # The corpus may have to be built first, which takes seconds.
    return await asyncio.to_thread(provider.ready, desk)


async def _ask_one(
    provider: Provider, arguments: Mapping[str, Any], desk: Desk, *, ends: float
) -> tuple[Record, ...]:
    if provider.mode == "embedded":
        return tuple(map(clean, await provider.search(arguments, desk)))
    owner = desk.owner if provider.is_private else ""
    key = key_of(
        provider.tool, provider.name, version=provider.version, arguments=arguments, owner=owner
    )
    kept = await desk.cache.get(key)
    if kept is not None:
        return unpack(kept)
    seconds = min(SOURCE_SECONDS, ends - asyncio.get_running_loop().time())
    if seconds <= 0:
        raise UnavailableError("no time left to ask", is_failure=False)
    records = await desk.wire.flights.join(
        key, lambda: _ask_live(provider, arguments, desk, seconds=seconds)
    )
    is_kept = seconds_kept(provider.tool)
    await desk.cache.put(
        key, pack(records), is_kept if records else min(is_kept, EMPTY_SECONDS_KEPT)
    )
    return records


async def _ask_live(
    provider: Provider, arguments: Mapping[str, Any], desk: Desk, *, seconds: float
) -> tuple[Record, ...]:
    breaker = f"{provider.name}:{desk.owner}" if provider.is_private else provider.name
    with desk.wire.breakers.watch(breaker), desk.wire.deadline(seconds):
        try:
            async with asyncio.timeout(seconds):
                return tuple(map(clean, await provider.search(arguments, desk)))
        except TimeoutError:
            raise UnavailableError(f"no answer in {seconds:.0f} seconds") from None
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            # Services change what they send; the next source may still know.
            logger.warning("%s answered in an unknown shape", provider.name, exc_info=True)
            raise UnavailableError("its answer has an unknown shape") from error


def _nothing(tool: str, passed: Sequence[Passed], desk: Desk) -> Found:
    if any(one.was_ready for one in passed):
        reasons = "; ".join(_told(one) for one in passed)
        raise UserError(f"no source of {tool} answered ({reasons}). Try another tool, or later.")
    offline = ["offline"] if desk.is_offline else []
    here = [one.reason for one in passed if one.provider.mode == "embedded"]
    live = [_told(one) for one in passed if one.provider.mode == "live"]
    why = ": ".join([*offline, ", ".join(here)] if here else offline)
    parts = ["source: none", why, *live, "nothing was searched, so this is no evidence of absence"]
    return Found((), "; ".join(part for part in parts if part), "embedded")


def _reasons(provider: Provider, passed: Sequence[Passed], desk: Desk) -> list[str]:
    if provider.mode == "live":
        return [_told(one) for one in passed if one.was_ready]
    if desk.is_offline:
        return ["offline: no live source was asked"]
    live = [one for one in passed if one.provider.mode == "live"]
    if live and not any(one.was_ready for one in live):
        return [f"live source not configured ({', '.join(map(_told, live))})"]
    return [_told(one) for one in live]


def _told(one: Passed) -> str:
    return f"{one.provider.title}: {one.reason}"


def _mode(provider: Provider, records: Sequence[Record]) -> Mode:
    found = {record.provenance.mode for record in records}
    return found.pop() if len(found) == 1 else provider.mode


def _common(values: Any) -> str:
    found = {str(value) for value in values}
    return found.pop() if len(found) == 1 else ""
