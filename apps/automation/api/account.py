"""Who I am, how I like the console, and my tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status
from ninja.errors import HttpError

from apps.accounts import audit, second_factor, services
from apps.accounts.auth import BearerAuth, token_in, user_in
from apps.accounts.models import ApiToken, Scope, User, Verb
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import In, Room

router = Room("account", reading=Scope.ACCOUNT, writing=Scope.ACCOUNT)
EMAIL = r"^([^@\s]+@[^@\s]+)?$"
PLAIN = (
    "id",
    "username",
    "first_name",
    "last_name",
    "email",
    "role",
    "theme",
    "density",
    "has_shortcuts",
)


class TokenOut(Schema):
    """A token without its text, which was shown once."""

    id: int
    name: str
    prefix: str
    scopes: list[str]
    created: datetime
    expires: datetime | None
    last_used: datetime | None
    last_address: str = Field(description="The network, not the machine.")


class MeOut(Schema):
    id: int
    username: str
    first_name: str
    last_name: str
    email: str
    role: str
    has_second_factor: bool
    theme: str
    density: str
    has_shortcuts: bool
    scopes: list[str] = Field(description="Of the token that asks; `all` for a browser.")
    token: TokenOut | None


class NewTokenOut(Schema):
    """The text is shown here and never again."""

    token: TokenOut
    text: str


class MeIn(In):
    """What is left out stays as it is."""

    theme: Literal["system", "light", "dark"] | None = None
    density: Literal["compact", "cosy", "roomy"] | None = None
    has_shortcuts: bool | None = None
    first_name: str | None = Field(None, max_length=150)
    last_name: str | None = Field(None, max_length=150)
    email: str | None = Field(None, max_length=254, pattern=EMAIL)


@router.get("me", response=MeOut, auth=BearerAuth(""), summary="Who I am, and what I may do")
def me(request: HttpRequest) -> dict[str, Any]:
    """Any token may ask: a program can see here what it was given."""
    return _me(request, user_in(request))


@router.patch("me", response=MeOut, summary="Change my name and how the console looks")
def update_me(request: HttpRequest, body: MeIn) -> dict[str, Any]:
    user = user_in(request)
    changed = body.dict(exclude_none=True)
    for name, value in changed.items():
        setattr(user, name, value)
    user.save(update_fields=list(changed))
    return _me(request, user)


@router.get("tokens/", response=Page[TokenOut], summary="My tokens, newest first")
def list_tokens(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    """They are made on the page *API tokens* alone: a token must not breed."""
    tokens = ApiToken.objects.filter(user=user_in(request))
    return page(tokens, cursor=wanted.cursor, limit=wanted.limit)


@router.post("tokens/{int:pk}/rotate", response=NewTokenOut, summary="Give a token a new text")
def rotate_token(request: HttpRequest, pk: int) -> dict[str, Any]:
    """With the same rights and the same end; the text before opens nothing from now on.

    A token changes itself alone: otherwise one could take the rights of another.
    """
    user, asking = user_in(request), token_in(request)
    if asking is not None and asking.pk != pk:
        raise HttpError(403, "a token rotates itself alone; rotate this one with its own text")
    token = get_object_or_404(ApiToken.objects.live(), pk=pk, user=user)
    return services.rotate_token(token)._asdict()


@router.delete("tokens/{int:pk}", response={204: None}, summary="Revoke a token")
def revoke_token(request: HttpRequest, pk: int) -> Status[None]:
    """It opens nothing from now on; the token that asks may revoke itself."""
    user = user_in(request)
    token = get_object_or_404(ApiToken, pk=pk, user=user)
    services.revoke_token(user, pk)
    audit.note(user, Verb.TOKEN_REVOKED, str(token))
    return Status(204, None)


def _me(request: HttpRequest, user: User) -> dict[str, Any]:
    token = token_in(request)
    return {
        **{name: getattr(user, name) for name in PLAIN},
        "has_second_factor": second_factor.of(user) is not None,
        "scopes": token.scopes if token else [Scope.ALL],
        "token": token,
    }
