"""Which account is whose at the OIDC provider: found by issuer and subject, never by an e-mail.

An account that is there is bound by its owner while signed in, or by the first arrival with an
e-mail that an admin named and the provider verified. An arrival that fits none gets an account
of its own, where the settings let somebody like that in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts import audit, membership, provider
from apps.accounts.models import Identity, Role, User, Verb
from apps.accounts.provider import Claims
from kos.errors import UserError

NOT_IN_NAMES = re.compile(r"[^\w.+-]+")
LONGEST_NAME = 140  # a number fits behind it


def of(user: User) -> Identity | None:
    """What is bound to the account, or waits to be."""
    return Identity.objects.filter(user=user, issuer=settings.OIDC_ISSUER).first()


def arrive(claims: Claims) -> User:
    """The account of somebody whom the provider signed in; UserError says why there is none."""
    check_entry(claims)
    try:
        user = _find_or_make(claims)
    except IntegrityError:
        user = _find_or_make(claims)  # another browser of theirs was first
    _known(claims.subject).update(last_used=timezone.now())
    return user


def check_entry(claims: Claims) -> None:
    """Raise UserError unless the settings let somebody like this in; asked every time."""
    name = provider.label()
    if settings.OIDC_DOMAINS:
        domain = claims.email.rpartition("@")[2].lower()
        if not claims.is_verified:
            raise UserError(f"{name} has not verified your e-mail address; verify it there first.")
        if domain not in {one.lower() for one in settings.OIDC_DOMAINS}:
            raise UserError("Your e-mail address is of a domain that may not enter here.")
    if settings.OIDC_GROUPS and not claims.groups & set(settings.OIDC_GROUPS):
        raise UserError(f"You are in no group of {name} that may enter here.")


@transaction.atomic
def bind(user: User, subject: str, email: str) -> Identity:
    """Let this subject in as ``user`` from now on, instead of another that was bound."""
    if _known(subject).exclude(user=user).exists():
        raise UserError(f"{email or 'This sign-in'} is bound to another account here.")
    found, _ = Identity.objects.update_or_create(
        user=user, issuer=settings.OIDC_ISSUER, defaults={"subject": subject, "email": email}
    )
    audit.note(user, Verb.IDENTITY_BOUND, user, provider=found.issuer, email=email)
    return found


@transaction.atomic
def allow(by: User, user: User) -> Identity:
    """An admin's word that whoever comes with the account's e-mail, verified, is its owner."""
    if not provider.is_on():
        raise UserError("No provider is set (KOS_OIDC_ISSUER), so nobody can come from it.")
    if not user.email:
        raise UserError(f"{user.username} has no e-mail address to be known by.")
    if of(user) is not None:
        raise UserError(f"{user.username} is bound already, or waits to be.")
    waiting = Identity.objects.filter(issuer=settings.OIDC_ISSUER, subject=None)
    if waiting.filter(email__iexact=user.email).exists():
        raise UserError(f"Another account waits for {user.email}.")
    found = Identity.objects.create(user=user, issuer=settings.OIDC_ISSUER, email=user.email)
    audit.note(by, Verb.IDENTITY_AWAITED, user, provider=found.issuer, email=user.email)
    return found


@transaction.atomic
def remove(by: User, user: User) -> None:
    """Take the binding away; nobody may lock themselves out with it."""
    if by == user and not user.has_usable_password():
        raise UserError("You have no password: without this you could not sign in again.")
    if not Identity.objects.filter(user=user, issuer=settings.OIDC_ISSUER).delete()[0]:
        raise UserError(f"Nothing is bound to {user.username}.")
    audit.note(by, Verb.IDENTITY_REMOVED, user, provider=settings.OIDC_ISSUER)


def role_of(claims: Claims) -> str:
    """The role of somebody new: of the first group that gives one, else the least."""
    given = (role for group, role in settings.OIDC_ROLES.items() if group in claims.groups)
    return next(given, Role.CLINICIAN)


@transaction.atomic
def _find_or_make(claims: Claims) -> User:
    found = _known(claims.subject).select_related("user").first()
    user = found.user if found is not None else _awaited(claims) or _new(claims)
    if not user.is_active:
        raise UserError(f"The account {user.username} is locked: an admin can unlock it.")
    return user


def _awaited(claims: Claims) -> User | None:
    """The account that an admin said is of this e-mail; bound from now on."""
    if not (claims.is_verified and claims.email):
        return None
    waiting = Identity.objects.select_for_update().filter(
        issuer=settings.OIDC_ISSUER, subject=None, email__iexact=claims.email
    )
    found = waiting.first()
    if found is None:
        return None
    found.subject = claims.subject
    found.save(update_fields=["subject"])
    audit.note(
        found.user, Verb.IDENTITY_BOUND, found.user, provider=found.issuer, email=found.email
    )
    return found.user


def _new(claims: Claims) -> User:
    if not (settings.OIDC_DOMAINS or settings.OIDC_GROUPS):
        raise UserError("No account here is bound to this sign-in: ask an admin for one.")
    email = claims.email if claims.is_verified else ""
    if email and User.objects.filter(email__iexact=email).exists():
        raise UserError(
            f"There is an account with the e-mail {email}. Sign in to it with its password and "
            "bind this sign-in under Settings, or ask an admin to let you in by e-mail."
        )
    role = role_of(claims)
    user = membership.make(_free_name(claims), role, name=claims.name, email=email)
    audit.note(user, Verb.MEMBER_ADDED, user, role=role, by=provider.label())
    bind(user, claims.subject, email)
    return user


def _free_name(claims: Claims) -> str:
    """What the person is called there, with a number where somebody here has that name."""
    for name in _names(claims):
        if not User.objects.filter(username__iexact=name).exists():
            return name
    raise AssertionError("numbers do not end")


def _names(claims: Claims) -> Iterator[str]:
    told = claims.username or (claims.email if claims.is_verified else "")
    plain = NOT_IN_NAMES.sub("-", User.normalize_username(told.partition("@")[0])).strip("-")
    name = plain[:LONGEST_NAME] or "member"
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def _known(subject: str) -> QuerySet[Identity]:
    return Identity.objects.filter(issuer=settings.OIDC_ISSUER, subject=subject)
