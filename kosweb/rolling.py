"""Replacing our own programs one by one by new processes, which may be of a newer release.

Generators that the supervisor drives a step at a time, so that it goes on watching over the
others. PostgreSQL, Valkey and the supervisor itself stay as they are.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Protocol

from kosweb.embedded.process import Child
from kosweb.programs import preparation

READY_SECONDS = 120.0
DONE, GIVEN_UP = "done", "given up"

# Waits by yielding; returns whether it went well.
Steps = Generator[None, None, bool]


class Up(Protocol):
    """What of the supervisor is needed here."""

    programs: list[Child]
    leaving: list[Child]
    replacing: set[str]

    def say(self, text: str) -> None: ...


def everything(up: Up, tell: Callable[[str], None]) -> Steps:
    """Tables and static files, the web, then worker by worker; stops at what fails."""

    def say(text: str) -> None:
        up.say(text)
        tell(text)

    say("restarting")
    is_well = yield from _prepared(say)
    is_well = is_well and (yield from _web(up, say))
    if not is_well:
        say(f"{GIVEN_UP}: what ran before goes on")
        return False
    for child in up.programs[1:]:
        yield from _again(up, child, say)
    say(DONE)
    return True


def _prepared(say: Callable[[str], None]) -> Steps:
    child = preparation()
    child.start()
    while child.exit_code is None:
        yield
    if child.exit_code != 0:
        say(f"tables or static files could not be brought up to date:\n{child.last_lines()}")
        return False
    say("tables and static files are up to date")
    return True


def _web(up: Up, say: Callable[[str], None]) -> Steps:
    """The new process takes connections before the old one stops taking them."""
    old = up.programs[0]
    new = replace(old)
    new.start()
    # It is stopped with the others if Kos stops now.
    up.leaving.append(new)
    while not new.is_ready:
        if new.exit_code is not None or new.age_seconds > READY_SECONDS:
            say(f"the new web process did not start; the end of {new.log}:\n{new.last_lines()}")
            new.stop()
            return False
        yield
    up.programs[0] = new
    up.leaving[:] = [*(child for child in up.leaving if child is not new), old]
    old.leave(signal.SIGHUP)
    say(f"web: process {new.pid} answers, {old.pid} ends what it began")
    return True


def _again(up: Up, child: Child, say: Callable[[str], None]) -> Steps:
    """A worker saves its runs' checkpoints and puts them back, then its successor takes them."""
    up.replacing.add(child.name)
    child.ask_to_stop()
    end = time.monotonic() + child.grace_seconds
    while child.exit_code is None and time.monotonic() < end:
        yield
    child.stop()
    child.start()
    up.replacing.discard(child.name)
    say(f"{child.name}: process {child.pid}")
    return True
