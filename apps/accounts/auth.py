"""Who calls the API: a bearer token, or the signed-in session with its CSRF token."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import HttpBearer
from ninja.utils import check_csrf

from apps.accounts import services
from apps.accounts.models import Scope, User


class BearerAuth(HttpBearer):
    """``Authorization: Bearer kos_...``; without the header the session counts.

    A token must be for everything, or for ``scope``.
    """

    def __init__(self, scope: str = Scope.ALL) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> User | None:
        if self.header in request.headers:
            found = super().__call__(request)
            return found if isinstance(found, User) else None
        return self._session_user(request)

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        user = services.user_of_token(token, self.scope)
        if user is not None:
            request.user = user
        return user

    @staticmethod
    def _session_user(request: HttpRequest) -> User | None:
        user: Any = request.user
        if not user.is_authenticated:
            return None
        if check_csrf(request):
            raise HttpError(403, "the CSRF token is missing or wrong; send X-CSRFToken")
        return user if isinstance(user, User) else None


def require_engineer(request: HttpRequest) -> User:
    """The caller, who must be an engineer; otherwise 403 with the role that is needed."""
    user = request.user
    if not isinstance(user, User) or not user.is_engineer:
        raise HttpError(403, "this needs the role engineer")
    return user


def require_reader(request: HttpRequest) -> User:
    """The caller, who must be an engineer or a reviewer."""
    user = request.user
    if not isinstance(user, User) or not (user.is_engineer or user.is_reviewer):
        raise HttpError(403, "this needs the role engineer or reviewer")
    return user
