"""Keys: sealed, looked up by who asks, handed out by name and to nobody else."""

from __future__ import annotations

import logging

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.accounts.sealing import seal, unseal
from apps.tools import services
from apps.tools.models import Key, McpServer
from kos.errors import UserError
from kos.tools.desk import CHAINS
from tests.factories import make_user

pytestmark = pytest.mark.django_db
SECRET = "brave-secret-key-0042"


def test_a_key_is_sealed_in_the_database():
    key = services.set_key("brave", SECRET, by=None)
    assert SECRET not in key.ciphertext
    assert unseal(key.ciphertext) == SECRET
    assert (key.last_four, str(key)) == ("0042", "brave (…0042)")
    with pytest.raises(InvalidToken):
        Fernet(Fernet.generate_key()).decrypt(key.ciphertext.encode())


def test_of_a_short_key_nothing_is_shown():
    assert services.set_key("brave", "short", by=None).last_four == ""


def test_a_key_takes_the_place_of_the_one_before():
    services.set_key("brave", "first-key-of-brave", by=None)
    services.set_key("brave", SECRET, by=None)
    assert services.keys_of(None) == {"brave": SECRET}
    assert Key.objects.count() == 1


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "x" * 8001])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(UserError, match="one line"):
        services.set_key("brave", text, by=None)


def test_one_shared_key_a_name():
    services.set_key("brave", SECRET, by=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        Key.objects.create(name="brave", ciphertext="x")


def test_an_own_key_goes_before_the_environments_and_that_before_the_shared(settings):
    user, other = make_user(), make_user()
    services.set_key("ncbi", "shared", by=None)
    assert services.keys_of(user)["ncbi"] == "shared"
    settings.TOOL_KEYS = {"ncbi": "environment"}
    assert services.keys_of(user)["ncbi"] == "environment"
    services.set_key("ncbi", "own", by=user, owner=user)
    assert services.keys_of(user)["ncbi"] == "own"
    assert services.keys_of(other)["ncbi"] == services.keys_of(None)["ncbi"] == "environment"


def test_a_config_gets_the_keys_that_it_names_however_deep():
    services.set_key("judge", "judge-key", by=None)
    services.set_key("remote", "remote-key", by=None)
    services.set_key("brave", SECRET, by=None)
    config = {
        "grader": {"kind": "judge", "key": "judge"},
        "stages": [{"secret": "remote"}],
        "key": "",
    }
    assert services.secrets_for(config) == {"judge": "judge-key", "remote": "remote-key"}
    assert services.secrets_for({"key": "unknown", "name": "brave"}) == {}


def test_a_new_secret_key_is_told_in_a_sentence(settings):
    kept = services.set_key("brave", SECRET, by=None)
    settings.SECRET_KEY = "another"
    with pytest.raises(UserError, match="KOS_ENCRYPTION_KEY") as caught:
        services.keys_of(None)
    assert kept.ciphertext not in str(caught.value)
    assert caught.value.__cause__ is None


def test_keys_move_to_a_new_encryption_key(settings):
    services.set_key("brave", SECRET, by=None)
    settings.ENCRYPTION_KEYS = ["new", "old"]
    assert services.reseal_keys() == 1
    settings.SECRET_KEY = "another"
    settings.ENCRYPTION_KEYS = ["new"]
    assert services.keys_of(None) == {"brave": SECRET}


def test_the_same_key_is_sealed_differently_each_time():
    assert seal(SECRET) != seal(SECRET)


def test_a_desk_has_the_users_keys_and_the_settings(settings):
    user = make_user(role=Role.ENGINEER)
    settings.TOOL_CHAINS = {"search_icd": ["embedded"]}
    services.set_key("brave", SECRET, by=user)
    desk = services.open_desk(user)
    assert desk.keys == {"brave": SECRET}
    assert desk.chains["search_icd"] == ("embedded",)
    assert desk.chains["web_search"] == CHAINS["web_search"]
    assert (desk.is_offline, desk.owner) == (True, str(user.pk))
    assert desk.wire is services.open_desk(None).wire


def test_a_key_is_in_no_description_of_the_desk(caplog):
    services.set_key("brave", SECRET, by=None)
    with caplog.at_level(logging.DEBUG):
        desk = services.open_desk(None)
    assert SECRET not in repr(desk)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "fields",
    [
        {"transport": "http"},
        {"transport": "http", "url": "https://x.example", "command": "records"},
        {"transport": "stdio", "url": "https://x.example"},
        {"transport": "stdio"},
    ],
)
def test_an_mcp_server_has_one_address_of_its_sort(fields):
    with pytest.raises(IntegrityError), transaction.atomic():
        McpServer.objects.create(slug="records", **fields)
