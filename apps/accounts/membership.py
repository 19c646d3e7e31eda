"""Who has an account and what it may do. There is always an admin left to give rights."""

from __future__ import annotations

from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from apps.accounts import audit, sessions
from apps.accounts.models import ApiToken, Identity, Role, User, Verb
from kos.errors import UserError


@transaction.atomic
def invite(by: User, username: str, role: str, *, name: str = "", email: str = "") -> User:
    """An account without a password; its link (``link_to``) lets its owner choose one.

    Raises UserError when the name is taken.
    """
    if User.objects.filter(username__iexact=username).exists():
        raise UserError(f"There is an account called {username} already: choose another name.")
    user = make(username, role, name=name, email=email)
    audit.note(by, Verb.MEMBER_ADDED, user, role=role)
    return user


def make(username: str, role: str, *, name: str = "", email: str = "") -> User:
    """An account without a password; the caller knows that the name is free and writes it down."""
    first, _, last = name.strip().partition(" ")
    user = User(username=username, email=email, first_name=first[:150], last_name=last[:150])
    _give(user, role)
    user.set_unusable_password()
    user.save(force_insert=True)
    return user


def link_to(user: User) -> tuple[str, str]:
    """The two parts of a link with which the account's owner chooses a password, once."""
    return urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)


def owner_of_link(place: str, token: str) -> User | None:
    """Whose link this is; None when it was used, is old, or never was one."""
    try:
        pk = int(urlsafe_base64_decode(place))
    except ValueError:
        return None
    user = User.objects.filter(pk=pk, is_active=True).first()
    is_good = user is not None and default_token_generator.check_token(user, token)
    return user if is_good else None


@transaction.atomic
def change_role(by: User, user: User, role: str) -> None:
    """Give ``user`` another role; UserError for an unknown one, or for the last admin."""
    if role not in Role.values:
        raise UserError(f"There is no role {role!r}; choose one of {', '.join(Role.values)}.")
    was = user.role
    if was == role:
        return
    if was == Role.ADMIN:
        _keep_one_admin(user)
    _give(user, role)
    user.save(update_fields=["role", "is_staff", "is_superuser"])
    audit.note(by, Verb.MEMBER_CHANGED, user, before={"role": was}, role=role)


@transaction.atomic
def deactivate(by: User, user: User) -> None:
    """Lock the account: its sessions end, its tokens no longer work. What it made stays."""
    if not user.is_active:
        return
    if user == by:
        raise UserError("You cannot lock your own account: another admin can.")
    if user.role == Role.ADMIN:
        _keep_one_admin(user)
    user.is_active = False
    user.save(update_fields=["is_active"])
    sessions.end_others(user)
    audit.note(by, Verb.MEMBER_CHANGED, user, before={"active": True}, active=False)


@transaction.atomic
def activate(by: User, user: User) -> None:
    """Unlock the account with the rights it had."""
    if user.is_active:
        return
    user.is_active = True
    user.save(update_fields=["is_active"])
    audit.note(by, Verb.MEMBER_CHANGED, user, before={"active": False}, active=True)


@transaction.atomic
def reset_password(by: User, user: User) -> None:
    """Take the password, the tokens and what is bound elsewhere away: its owner comes back by a
    fresh link.
    """
    user.set_unusable_password()
    user.save(update_fields=["password"])
    num_tokens, _ = ApiToken.objects.filter(user=user).delete()
    num_bound, _ = Identity.objects.filter(user=user).delete()
    sessions.end_others(user)
    audit.note(by, Verb.PASSWORD_RESET, user, tokens_revoked=num_tokens, unbound=num_bound)


def admins() -> list[User]:
    """Who can give rights."""
    return [*User.objects.filter(role=Role.ADMIN, is_active=True).order_by("username")]


def _give(user: User, role: str) -> None:
    if role not in Role.values:
        raise UserError(f"There is no role {role!r}; choose one of {', '.join(Role.values)}.")
    user.role = role
    user.is_staff = user.is_superuser = role == Role.ADMIN


def _keep_one_admin(leaving: User) -> None:
    """Raise UserError if nobody else is an admin. The rows are locked: two cannot both leave."""
    rows = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True)
    if not any(user.pk != leaving.pk for user in rows.order_by("pk")):
        raise UserError(f"{leaving.username} is the only admin: make somebody else one first.")
