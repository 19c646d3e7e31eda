"""Who asks at /v1: a token or a signed-in person, with what they may."""

from __future__ import annotations

from dataclasses import dataclass

from apps.accounts import services as accounts
from apps.accounts.models import Scope, User
from apps.automation.threads import in_thread
from apps.deployments import limits
from apps.deployments.limits import Grant
from apps.deployments.memo import Memo

# A token that was revoked is refused after so long in use, or so long out of use; a day's count
# is as much behind.
FRESH_SECONDS = 2.0
STALE_SECONDS = 10.0


@dataclass(frozen=True)
class Caller:
    """``key`` tells callers apart: it keeps a token on its side of a canary."""

    user: User
    key: str
    grant: Grant
    tokens_today: int
    token_name: str = ""

    @property
    def has_tokens_left(self) -> bool:
        """Whether the person's day has tokens left; what is under way is not counted yet."""
        wanted = self.grant.tokens_per_day
        return not wanted or self.tokens_today < wanted


async def of_header(value: str, address: str = "") -> Caller | None:
    """Who sends ``Authorization: Bearer ...``; None for a token that is unknown or over.

    Raises TooManyTriesError for an address that guesses.
    """
    scheme, _, text = value.partition(" ")
    known = f"{address} {text.strip()}"
    return await _CALLERS.get(known) if scheme.lower() == "bearer" else None


async def of_user(user: User) -> Caller:
    """A person who is signed in."""
    return await in_thread(_make, user, f"user:{user.pk}")


def _find(known: str) -> Caller | None:
    address, _, text = known.partition(" ")
    token = accounts.token_of(text, Scope.MODELS, address=address)
    return _make(token.user, f"token:{token.pk}", token.name) if token else None


def _make(user: User, key: str, token_name: str = "") -> Caller:
    grant = limits.grant_of(user)
    tokens = limits.tokens_today(user) if grant.tokens_per_day else 0
    return Caller(user, key, grant, tokens, token_name)


_CALLERS = Memo(_find, fresh_seconds=FRESH_SECONDS, stale_seconds=STALE_SECONDS)
