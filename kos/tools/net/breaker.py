"""A source that keeps failing is left alone for a while, so that nobody waits for it in vain."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kos.errors import UserError
from kos.tools.net.failures import UnavailableError

MAX_FAILURES = 5
SECONDS = 60.0


@dataclass
class _State:
    failed_at: list[float] = field(default_factory=list)
    closed_until: float = 0.0
    is_on_trial: bool = False


@dataclass
class Breakers:
    """One breaker a source: 5 failures within 60 s pause it for 60 s, then one call tries."""

    clock: Callable[[], float] = time.monotonic
    _states: dict[str, _State] = field(default_factory=dict, repr=False)

    @contextmanager
    def watch(self, name: str) -> Iterator[None]:
        """Make a call to the source ``name`` inside. ``UnavailableError`` while it is paused."""
        state = self._states.setdefault(name, _State())
        self._let_through(state)
        try:
            yield
        except UnavailableError as error:
            if error.is_failure:
                self._fail(state)
            raise
        except UserError:
            self._states.pop(name, None)  # it answered, if only to say no
            raise
        else:
            self._states.pop(name, None)
        finally:
            state.is_on_trial = False

    def is_open(self, name: str) -> bool:
        """Whether the source is paused now."""
        return self._states.get(name, _State()).closed_until > self.clock()

    def _let_through(self, state: _State) -> None:
        rest = state.closed_until - self.clock()
        if rest > 0 or state.is_on_trial:
            wait = f" for {math.ceil(rest)} s" if rest > 0 else ""
            raise UnavailableError(f"paused{wait} after {MAX_FAILURES} failures")
        state.is_on_trial = state.closed_until > 0

    def _fail(self, state: _State) -> None:
        now = self.clock()
        state.failed_at = [at for at in state.failed_at if now - at < SECONDS] + [now]
        if state.is_on_trial or len(state.failed_at) >= MAX_FAILURES:
            state.closed_until = now + SECONDS
            state.failed_at = []
