"""Accounts over REST, for admins."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Field, Query, Schema, Status

from apps.accounts import identities, membership, second_factor
from apps.accounts.auth import require_admin
from apps.accounts.models import Role, Scope, SecondFactor, User
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import In, Room

router = Room("members", reading=Scope.ADMIN, writing=Scope.ADMIN)


class MemberOut(Schema):
    id: int
    username: str
    role: str
    email: str
    is_active: bool
    has_second_factor: bool
    date_joined: datetime
    last_login: datetime | None


class MemberWanted(Paging):
    role: Role | None = None
    q: str = Field("", max_length=100, description="Part of the name.")
    is_active: bool | None = None


class MemberPatch(In):
    """What is left out stays as it is."""

    role: Role | None = None
    is_active: bool | None = Field(None, description="false locks somebody out, tokens too.")


class InviteIn(In):
    username: str = Field(min_length=1, max_length=150, pattern=r"^[\w.@+-]+$")
    role: Role = Role.CLINICIAN
    name: str = Field("", max_length=150)
    email: str = Field("", max_length=254, pattern=r"^([^@\s]+@[^@\s]+)?$")


class InvitedOut(Schema):
    """An account, and the link with which its owner chooses a password, once."""

    member: MemberOut
    link: str


@router.get("", response=Page[MemberOut], summary="Everybody with an account")
def list_(request: HttpRequest, wanted: Query[MemberWanted]) -> dict[str, Any]:
    require_admin(request)
    people = _people()
    if wanted.role:
        people = people.filter(role=wanted.role)
    if wanted.q:
        people = people.filter(username__icontains=wanted.q)
    if wanted.is_active is not None:
        people = people.filter(is_active=wanted.is_active)
    return page(people, cursor=wanted.cursor, limit=wanted.limit, key="username")


@router.post("", response={201: InvitedOut}, summary="Make an account")
def invite(request: HttpRequest, body: InviteIn) -> Status[dict[str, Any]]:
    """Without a password: its owner chooses one at `link`, which is shown here once."""
    by = require_admin(request)
    user = membership.invite(by, body.username, body.role, name=body.name, email=body.email)
    member = get_object_or_404(_people(), pk=user.pk)
    return Status(201, {"member": member, "link": _link(request, user)})


@router.get("{int:pk}", response=MemberOut, summary="One account")
def get(request: HttpRequest, pk: int) -> User:
    require_admin(request)
    return get_object_or_404(_people(), pk=pk)


@router.patch("{int:pk}", response=MemberOut, summary="Change a role, lock or unlock")
def update(request: HttpRequest, pk: int, body: MemberPatch) -> User:
    """409 where it would leave the console without an admin."""
    by, user = require_admin(request), get_object_or_404(User, pk=pk)
    if body.role is not None:
        membership.change_role(by, user, body.role)
    if body.is_active is not None:
        (membership.activate if body.is_active else membership.deactivate)(by, user)
    return get_object_or_404(_people(), pk=pk)


@router.post("{int:pk}/reset", response=InvitedOut, summary="Take password and tokens away")
def reset(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Its owner comes back by `link`, which is shown here once."""
    by, user = require_admin(request), get_object_or_404(User, pk=pk)
    membership.reset_password(by, user)
    member = get_object_or_404(_people(), pk=pk)
    return {"member": member, "link": _link(request, member)}


@router.delete("{int:pk}/second-factor", response={204: None}, summary="Take a second factor away")
def reset_second_factor(request: HttpRequest, pk: int) -> Status[None]:
    """For somebody who lost theirs; 409 where there is none."""
    by, user = require_admin(request), get_object_or_404(User, pk=pk)
    second_factor.reset(by, user)
    return Status(204, None)


@router.put("{int:pk}/identity", response={204: None}, summary="Let somebody in by their e-mail")
def allow_identity(request: HttpRequest, pk: int) -> Status[None]:
    """Whoever the OIDC provider knows by this account's e-mail, verified, is its owner.

    409 without a provider or an e-mail, and where something is bound already.
    """
    by, user = require_admin(request), get_object_or_404(User, pk=pk)
    identities.allow(by, user)
    return Status(204, None)


@router.delete("{int:pk}/identity", response={204: None}, summary="Unbind from the provider")
def remove_identity(request: HttpRequest, pk: int) -> Status[None]:
    """The account stays; 409 where nothing is bound, or where its owner could not come back."""
    by, user = require_admin(request), get_object_or_404(User, pk=pk)
    identities.remove(by, user)
    return Status(204, None)


def _people() -> QuerySet[User]:
    is_on = SecondFactor.objects.filter(user=OuterRef("pk")).exclude(confirmed=None)
    return User.objects.annotate(has_second_factor=Exists(is_on))


def _link(request: HttpRequest, user: User) -> str:
    path = reverse("accounts:welcome", args=membership.link_to(user))
    return request.build_absolute_uri(path)
