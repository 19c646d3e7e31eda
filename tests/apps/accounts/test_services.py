from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts import services
from apps.accounts.models import Role, Scope
from kos.errors import UserError
from tests.factories import make_user


def test_only_the_hash_of_a_token_is_kept(db):
    token, text = services.create_token(make_user(), "script")
    assert text not in str(token.__dict__)
    assert text.startswith(token.prefix)


def test_an_ended_token_opens_nothing(db):
    token, text = services.create_token(make_user(), "script", days=1)
    token.expires = timezone.now() - timedelta(seconds=1)
    token.save(update_fields=["expires"])
    assert services.user_of_token(text) is None


def test_the_token_of_somebody_who_left_opens_nothing(db):
    user = make_user()
    _, text = services.create_token(user, "script", days=None)
    user.is_active = False
    user.save(update_fields=["is_active"])
    assert services.user_of_token(text) is None


def test_an_unknown_theme_names_the_ones_there_are(db):
    with pytest.raises(UserError, match="system, light, dark"):
        services.choose_theme(make_user(), "neon")


def test_making_a_user_twice_changes_the_one_there_is(db):
    services.make_user("ada", "one password 1", Role.CLINICIAN)
    user = services.make_user("ada", "two passwords 2", Role.ADMIN)
    assert user.is_admin
    assert user.check_password("two passwords 2")


def test_a_token_for_tools_opens_nothing_else(db):
    _, text = services.create_token(make_user(), "desk", scope=Scope.TOOLS)
    assert services.user_of_token(text, Scope.TOOLS) is not None
    assert services.user_of_token(text) is None
    assert services.user_of_token(text, Scope.MODELS) is None
