"""The one thread that computes. Work is done in turn; questions of a kind are answered together."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kos.engine.server.futures import Answer, Failed, Futures
from kos.engine.server.samplers import Question, Samplers
from kos.errors import UserError

logger = logging.getLogger(__name__)

# A client sends a step's questions one by one: what comes this soon is answered together.
GATHER_SECONDS = 0.02
MOST_TOGETHER = 256


@dataclass(frozen=True)
class Work:
    """Something to do for one request."""

    request_id: str
    run: Callable[[], Answer]


class Line:
    """A thread and what waits for it."""

    def __init__(self, samplers: Samplers, futures: Futures) -> None:
        self._samplers = samplers
        self._futures = futures
        self._waiting: deque[Work | Question] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve, name="work", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def put(self, work: Work | Question) -> None:
        """Queue some work."""
        with self._changed:
            self._waiting.append(work)
            self._changed.notify()

    def close(self) -> None:
        """End the thread after what it is at."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        try:
            while (work := self._next()) is not None:
                if isinstance(work, Question):
                    self._answer(self._gather(work))
                else:
                    self._futures.settle_soon(work.request_id, _tried(work.run))
        finally:
            # Whoever waits is told the truth, whether the server stops or this is our fault.
            self._futures.fail_all_soon("the server stopped")

    def _next(self) -> Work | Question | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return None if self._is_closing else self._waiting.popleft()

    def _gather(self, first: Question) -> list[Question]:
        """``first`` and all that can be answered with it."""
        time.sleep(GATHER_SECONDS)
        kin: list[Question] = [first]
        others: list[Any] = []
        with self._changed:
            while self._waiting and len(kin) < MOST_TOGETHER:
                work = self._waiting.popleft()
                is_kin = isinstance(work, Question) and work.kin == first.kin
                (kin if is_kin else others).append(work)  # type: ignore[arg-type]
            self._waiting.extendleft(reversed(others))
        return kin

    def _answer(self, questions: list[Question]) -> None:
        answers: list[Answer] = []

        def run() -> Answer:
            answers.extend(self._samplers.answer(questions))
            return answers[0]

        told = _tried(run)
        for place, question in enumerate(questions):
            answer = answers[place] if answers else told
            self._futures.settle_soon(question.request_id, answer)


def _tried(run: Callable[[], Answer]) -> Answer:
    """What ``run`` answers, or why it does not: one client's request must not end the server."""
    try:
        return run()
    except UserError as error:
        return Failed(str(error))
    except (RuntimeError, ValueError, OSError) as error:
        logger.exception("a request failed")
        return Failed(f"{type(error).__name__}: {error}", "server")
