"""One call of one tool, outside any conversation, as the loop would make and show it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync

from apps.accounts.models import User
from apps.tools.services import open_desk
from kos.errors import UserError
from kos.harness.calls import schema_of
from kos.harness.citations import SourceBook
from kos.harness.observations import Budget, harmless, query_of
from kos.harness.refusals import CallError, check_arguments
from kos.tools.base import Found, Record, Tool
from kos.tools.desk import Desk
from kos.tools.registry import pick_tools

SECONDS = 20.0


class Trial(NamedTuple):
    """What came of a call. ``observation`` is the text the model reads, word for word."""

    observation: str
    is_error: bool
    notice: str
    mode: str
    records: tuple[Record, ...]
    seconds: float


def call(name: str, arguments: Mapping[str, Any], user: User) -> Trial:
    """Call the tool ``name``. Raises UserError when there is none; its own failures are told."""
    (tool,) = pick_tools((name,))
    desk = open_desk(user)
    # Who tries a page by hand has named it: that is what a question would do.
    desk.learn(json.dumps(dict(arguments)))
    return async_to_sync(_call)(tool, arguments, desk)


async def _call(tool: Tool, arguments: Mapping[str, Any], desk: Desk) -> Trial:
    started = time.perf_counter()
    try:
        found = await _found(tool, arguments, desk)
    except CallError as error:
        seconds = time.perf_counter() - started
        return Trial(harmless(str(error)), True, "", "", (), seconds)
    seconds = time.perf_counter() - started
    observation = Budget().observe(found, SourceBook.open(), query=query_of(arguments))
    return Trial(observation.text, False, found.notice, found.mode, found.records, seconds)


async def _found(tool: Tool, arguments: Mapping[str, Any], desk: Desk) -> Found:
    check_arguments(dict(arguments), schema_of(tool.declare()))
    try:
        async with asyncio.timeout(SECONDS):
            return await tool.call(arguments, desk)
    except TimeoutError:
        line = f"{tool.name} gave no answer after {SECONDS:.3g} seconds"
        raise CallError("timeout", line, "Ask for less.") from None
    except CallError:
        raise
    except UserError as error:
        raise CallError("tool_failed", str(error), "Mend the call.") from error
