"""What can go wrong on the way out, in the words that the model and the reader see."""

from __future__ import annotations

from kos.errors import UserError


class UnavailableError(UserError):
    """A source cannot be asked now; the next one in the chain may know.

    ``is_failure`` tells a source that broke (time-out, 5xx, too many requests), which the
    breaker counts, from one that is fine but not for us (no key, key refused, paused).
    """

    def __init__(self, sentence: str, *, is_failure: bool = True) -> None:
        super().__init__(sentence)
        self.is_failure = is_failure


class RefusedError(UserError):
    """The source understood and said no (HTTP 4xx): another question may do."""

    def __init__(self, sentence: str, *, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


class BlockedError(UserError):
    """The guard forbids this address."""
