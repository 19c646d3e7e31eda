"""What changes people's settings and tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from django.utils import timezone

from apps.accounts.models import ApiToken, Role, Scope, User
from kos.errors import UserError

PREFIX_CHARS = 12


class NewToken(NamedTuple):
    """A token and its text, which is known only now."""

    token: ApiToken
    text: str


def create_token(
    user: User, name: str, *, days: int | None = 90, scope: str = Scope.ALL
) -> NewToken:
    """Make a token that ends after ``days`` (None: never). Its text cannot be read again."""
    text = ApiToken.new_text()
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=text[:PREFIX_CHARS],
        digest=ApiToken.digest_of(text),
        scope=scope,
        expires=None if days is None else timezone.now() + timedelta(days=days),
    )
    return NewToken(token, text)


def revoke_token(user: User, pk: int) -> bool:
    """Delete the user's own token; False when there was none."""
    return ApiToken.objects.filter(user=user, pk=pk).delete()[0] == 1


def token_of(text: str, scope: str = Scope.ALL) -> ApiToken | None:
    """The live token with this text, and its user; None for an unknown, ended or orphaned one,
    and for one that was made for something else than ``scope``.
    """
    return (
        ApiToken.objects.live()
        .filter(
            digest=ApiToken.digest_of(text), user__is_active=True, scope__in=[Scope.ALL, scope]
        )
        .select_related("user")
        .first()
    )


def user_of_token(text: str, scope: str = Scope.ALL) -> User | None:
    """Whose live token this is; None as for ``token_of``."""
    token = token_of(text, scope)
    return token.user if token else None


def choose_theme(user: User, theme: str) -> None:
    """Keep the user's theme; raises UserError for one that does not exist."""
    known = [name for name, _label in User._meta.get_field("theme").flatchoices]
    if theme not in known:
        raise UserError(f"there is no theme {theme!r}; choose one of {', '.join(known)}")
    user.theme = theme
    user.save(update_fields=["theme"])


def make_user(username: str, password: str, role: Role) -> User:
    """Make an account, or give an existing one this role and password."""
    user, _created = User.objects.get_or_create(username=username)
    user.role = role
    user.is_staff = user.is_superuser = role == Role.ADMIN
    user.set_password(password)
    user.save(update_fields=["role", "is_staff", "is_superuser", "password"])
    return user
