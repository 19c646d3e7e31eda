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
    _, text = services.create_token(make_user(), "desk", scopes=[Scope.TOOLS])
    assert services.user_of_token(text, Scope.TOOLS) is not None
    assert services.user_of_token(text) is None
    assert services.user_of_token(text, Scope.MODELS) is None


def test_using_a_token_is_noted_with_its_network_and_not_its_machine(db):
    token, _text = services.create_token(make_user(), "script")
    services.note_use(token, "203.0.113.77")
    token.refresh_from_db()
    assert token.last_used is not None
    assert token.last_address == "203.0.113.0/24"
    assert services.network_of("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert services.network_of("unix:/run/kos.sock") == ""


def test_use_within_a_minute_writes_nothing(db, django_assert_num_queries):
    _, text = services.create_token(make_user(), "script")
    services.user_of_token(text)
    with django_assert_num_queries(1):
        services.user_of_token(text)


def test_a_token_for_nothing_or_for_what_there_is_not_is_refused(db):
    for scopes in ([], ["runs:fly"]):
        with pytest.raises(UserError):
            services.create_token(make_user(), "script", scopes=scopes)


def test_everything_swallows_what_it_covers(db):
    token, _ = services.create_token(make_user(), "script", scopes=["runs:read", "all"])
    assert token.scopes == ["all"]


@pytest.mark.parametrize(
    ("held", "needed", "is_covered"),
    [
        (["all"], "runs:write", True),
        (["runs:write"], "runs:read", True),
        (["runs:read"], "runs:write", False),
        (["runs:read"], "", True),
        (["datasets:write"], "runs:read", False),
        (["models"], "tools", False),
    ],
)
def test_scopes_cover_what_they_say(held, needed, is_covered):
    assert Scope.covers(held, needed) is is_covered


def test_no_command_makes_an_account_with_a_poor_password(db):
    with pytest.raises(UserError, match="too short"):
        services.make_user("ada", "short", Role.ADMIN)


def test_a_rotated_token_keeps_its_rights_and_loses_its_old_text(db):
    token, before = services.create_token(make_user(), "ci", scopes=[Scope.TOOLS])
    after = services.rotate_token(token).text
    assert services.find_token(before) is None
    assert services.find_token(after).scopes == ["tools"]
