"""What changes people's settings and tokens."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.accounts import audit, brakes
from apps.accounts.models import ApiToken, Role, Scope, User, Verb
from kos.errors import UserError

PREFIX_CHARS = 12
USE_NOTED_EVERY = timedelta(minutes=1)


class NewToken(NamedTuple):
    """A token and its text, which is known only now."""

    token: ApiToken
    text: str


def create_token(
    user: User, name: str, *, days: int | None = 90, scopes: Iterable[str] = (Scope.ALL,)
) -> NewToken:
    """Make a token that ends after ``days`` (None: never). Its text cannot be read again."""
    wanted = list(dict.fromkeys(map(str, scopes)))
    unknown = [scope for scope in wanted if scope not in Scope.values]
    if unknown or not wanted:
        raise UserError(
            f"a token needs one or more of {', '.join(Scope.values)}; {unknown or 'none'} was given"
        )
    text = ApiToken.new_text()
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=text[:PREFIX_CHARS],
        digest=ApiToken.digest_of(text),
        scopes=[Scope.ALL] if Scope.ALL in wanted else wanted,
        expires=None if days is None else timezone.now() + timedelta(days=days),
    )
    return NewToken(token, text)


def rotate_token(token: ApiToken) -> NewToken:
    """A new text for the same token; the one before is unknown from now on."""
    text = ApiToken.new_text()
    token.prefix, token.digest = text[:PREFIX_CHARS], ApiToken.digest_of(text)
    token.save(update_fields=["prefix", "digest"])
    audit.note(token.user, Verb.TOKEN_MADE, token, scopes=token.scopes, rotated=True)
    return NewToken(token, text)


def revoke_token(user: User, pk: int) -> bool:
    """Delete the user's own token; False when there was none."""
    return ApiToken.objects.filter(user=user, pk=pk).delete()[0] == 1


def find_token(text: str) -> ApiToken | None:
    """The live token with this text, and its user; None for an unknown, ended or orphaned one."""
    return (
        ApiToken.objects.live()
        .filter(digest=ApiToken.digest_of(text), user__is_active=True)
        .select_related("user")
        .first()
    )


def admit_token(text: str, address: str) -> ApiToken | None:
    """As ``find_token``, for a caller at ``address``, where wrong ones are counted.

    After too many, nothing from there is looked at for a while but the tokens that were used
    there before: TooManyTriesError.
    """
    token = find_token(text)
    if not address or (token is not None and token.last_address == network_of(address)):
        return token
    place = brakes.of_tokens(address)
    until = brakes.take(place) if token is None else brakes.held_until(place)
    if until is not None:
        raise brakes.TooManyTriesError(brakes.seconds_to(until))
    return token


def token_of(text: str, scope: str = Scope.ALL, *, address: str = "") -> ApiToken | None:
    """As ``admit_token``, and None too for a token that was made for something else."""
    token = admit_token(text, address)
    if token is None or not Scope.covers(token.scopes, scope):
        return None
    note_use(token, address)
    return token


def user_of_token(text: str, scope: str = Scope.ALL, *, address: str = "") -> User | None:
    """Whose live token this is; None as for ``token_of``."""
    token = token_of(text, scope, address=address)
    return token.user if token else None


def note_use(token: ApiToken, address: str = "") -> None:
    """Keep when and from which network a token was used, at most once a minute."""
    now = timezone.now()
    if token.last_used is not None and now - token.last_used < USE_NOTED_EVERY:
        return
    changed = {"last_used": now} | ({"last_address": network_of(address)} if address else {})
    ApiToken.objects.filter(pk=token.pk).update(**changed)


def network_of(address: str) -> str:
    """The network of an IP address, as coarse as tells a home from an office: /24 or /48."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    return str(ip_network(f"{ip}/{24 if ip.version == 4 else 48}", strict=False))


def choose_theme(user: User, theme: str) -> None:
    """Keep the user's theme; raises UserError for one that does not exist."""
    known = [name for name, _label in User._meta.get_field("theme").flatchoices]
    if theme not in known:
        raise UserError(f"there is no theme {theme!r}; choose one of {', '.join(known)}")
    user.theme = theme
    user.save(update_fields=["theme"])


def make_user(username: str, password: str, role: Role) -> User:
    """Make an account, or give an existing one this role and password; UserError for a poor one."""
    try:
        validate_password(password, User(username=username))
    except ValidationError as error:
        raise UserError(f"This password will not do: {' '.join(error.messages)}") from error
    user, _created = User.objects.get_or_create(username=username)
    user.role = role
    user.is_staff = user.is_superuser = role == Role.ADMIN
    user.set_password(password)
    user.save(update_fields=["role", "is_staff", "is_superuser", "password"])
    return user
