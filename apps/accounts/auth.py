"""Who calls the API: a bearer token, or the signed-in session with its CSRF token."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import HttpBearer
from ninja.utils import check_csrf

from apps.accounts import services
from apps.accounts.models import ApiToken, Scope, User


class ScopeError(HttpError):
    """The token is good, but not for this."""

    def __init__(self, needed: str, held: list[str]) -> None:
        self.needed = needed
        super().__init__(
            403,
            f"this needs a token with the scope {needed}; this one has {', '.join(held)}. Make"
            " another under API tokens.",
        )


class BearerAuth(HttpBearer):
    """``Authorization: Bearer kos_...``; without the header the session counts.

    A token must be for everything, or for ``scope``; "" lets every token in.
    """

    def __init__(self, scope: str = Scope.ALL) -> None:
        super().__init__()
        self.scope = str(scope)

    def __call__(self, request: HttpRequest) -> User | None:
        if isinstance(known := getattr(request, "caller", None), User):
            return known  # whoever guards the API has asked already
        if self.header in request.headers:
            found = super().__call__(request)
            return found if isinstance(found, User) else None
        return self._session_user(request)

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        address = request.META.get("REMOTE_ADDR", "")
        found = services.admit_token(token, address)
        if found is None:
            return None
        if not Scope.covers(found.scopes, self.scope):
            raise ScopeError(self.scope, found.scopes)
        services.note_use(found, address)
        request.user = found.user
        request.token = found  # type: ignore[attr-defined]
        return found.user

    @staticmethod
    def _session_user(request: HttpRequest) -> User | None:
        user: Any = request.user
        if not user.is_authenticated:
            return None
        if check_csrf(request):
            raise HttpError(403, "the CSRF token is missing or wrong; send X-CSRFToken")
        return user if isinstance(user, User) else None


def token_in(request: HttpRequest) -> ApiToken | None:
    """The token that the caller showed; None for a session."""
    found = getattr(request, "token", None)
    return found if isinstance(found, ApiToken) else None


def user_in(request: HttpRequest) -> User:
    """The caller: the API lets nobody else in."""
    user = request.user
    if not isinstance(user, User):
        raise HttpError(401, "sign in, or send a token")
    return user


def require_engineer(request: HttpRequest) -> User:
    """The caller, who must be an engineer; otherwise 403 with the role that is needed."""
    user = user_in(request)
    if not user.is_engineer:
        raise HttpError(403, "this needs the role engineer")
    return user


def require_reader(request: HttpRequest) -> User:
    """The caller, who must be an engineer or a reviewer."""
    user = user_in(request)
    if not (user.is_engineer or user.is_reviewer):
        raise HttpError(403, "this needs the role engineer or reviewer")
    return user


def require_reviewer(request: HttpRequest) -> User:
    """The caller, who must be a reviewer."""
    user = user_in(request)
    if not user.is_reviewer:
        raise HttpError(403, "this needs the role reviewer")
    return user


def require_admin(request: HttpRequest) -> User:
    """The caller, who must be an admin."""
    user = user_in(request)
    if not user.is_admin:
        raise HttpError(403, "this needs the role admin")
    return user
