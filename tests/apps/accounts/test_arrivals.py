"""Signing in with an OIDC provider: who gets in as whom, and everything that is refused."""

from __future__ import annotations

import logging
import time

import pyotp
import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from apps.accounts import brakes, identities, membership, second_factor
from apps.accounts.models import AuditEntry, Identity, Role, User, Verb
from apps.accounts.sealing import unseal
from kos.errors import UserError
from kosweb import environment
from tests import provider as fake
from tests.factories import PASSWORD, make_user

BEGIN, BACK = "/sign-in/provider/", "/sign-in/provider/back/"


@pytest.fixture
def provider(settings, db):
    cache.clear()
    with fake.running() as found:
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = found.issuer, fake.CLIENT
        settings.OIDC_CLIENT_SECRET, settings.OIDC_NAME = fake.SECRET, "Example"
        settings.OIDC_DOMAINS = ["example.org"]
        yield found
    cache.clear()


def arrive(browser: Client, provider: fake.Provider, **changed: str):
    """Go to the provider and come back, with ``changed`` in the answer."""
    away = browser.get(BEGIN)
    assert away.status_code == 302, away.content
    return browser.get(BACK, provider.follow(away.headers["Location"]) | changed)


def who(browser: Client) -> str:
    """Who is signed in, or "" for nobody."""
    pk = browser.session.get("_auth_user_id")
    return User.objects.get(pk=pk).username if pk else ""


def why() -> str:
    """What the audit log says of the last refusal."""
    return AuditEntry.objects.filter(verb=Verb.SIGN_IN_FAILED).latest("pk").after["why"]


def test_somebody_of_the_domain_gets_the_least_role(provider, stranger):
    answer = arrive(stranger, provider)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    user = User.objects.get(username=who(stranger))
    assert (user.username, user.email, user.role) == ("ada", "ada@example.org", Role.CLINICIAN)
    assert user.get_full_name() == "Ada Lovelace"
    assert not user.has_usable_password()


def test_an_arrival_is_written_down(provider, stranger):
    arrive(stranger, provider)
    verbs = [entry.verb for entry in AuditEntry.objects.order_by("pk")]
    assert verbs == [Verb.MEMBER_ADDED, Verb.IDENTITY_BOUND, Verb.SIGNED_IN]
    assert AuditEntry.objects.get(verb=Verb.SIGNED_IN).after == {"by": "Example"}


def test_the_same_subject_is_the_same_person_whatever_the_email(provider, stranger):
    arrive(stranger, provider)
    provider.person |= {"email": "countess@example.org", "preferred_username": "countess"}
    second = Client()
    arrive(second, provider)
    assert who(second) == "ada"


def test_the_same_email_of_another_subject_is_not_the_same_person(provider, stranger):
    arrive(stranger, provider)
    provider.person["sub"] = "mallory"
    second = Client()
    assert arrive(second, provider).status_code == 403
    assert who(second) == ""


def test_a_group_gives_a_role_to_somebody_new_and_later_ones_change_nothing(
    provider, stranger, settings
):
    settings.OIDC_ROLES = {"kos": "engineer", "other": "admin"}
    arrive(stranger, provider)
    provider.person["groups"] = ["other"]
    arrive(Client(), provider)
    assert User.objects.get(username="ada").role == Role.ENGINEER


def test_a_name_that_is_taken_gets_a_number(provider, stranger):
    make_user("ADA")
    arrive(stranger, provider)
    assert who(stranger) == "ada-2"


def test_a_hostile_name_becomes_letters(provider, stranger):
    provider.person |= {"preferred_username": "<b>a\x00\r\nda</b> x", "name": "A\r\n\x00B"}
    arrive(stranger, provider)
    user = User.objects.get(username=who(stranger))
    assert (user.username, user.first_name) == ("b-ada-b-x", "AB")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "another"}, "Audience"),
        ({"aud": ["kos", "another"]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"iss": None}, "iss"),
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": int(time.time()) + 3600}, "not yet valid"),
        ({"nbf": int(time.time()) + 3600}, "not yet valid"),
        ({"sub": ""}, "subject"),
        ({"sub": "a\x00b"}, "subject"),
        ({"sub": 7}, "Subject"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(provider, stranger, changes, words):
    provider.changes = changes
    assert arrive(stranger, provider).status_code == 400
    assert who(stranger) == ""
    assert words in why()
    assert not User.objects.exists()


def test_a_token_signed_by_another_key_is_refused(provider, stranger):
    provider.key = fake.OTHER_KEY
    assert arrive(stranger, provider).status_code == 400
    assert "Signature verification failed" in why()


def test_a_token_of_a_key_that_the_provider_does_not_name_is_refused(provider, stranger):
    provider.key, provider.kid = fake.OTHER_KEY, "k9"
    assert arrive(stranger, provider).status_code == 400
    assert "does not name" in why()


def test_a_new_key_of_the_provider_is_asked_for(provider, stranger):
    arrive(stranger, provider)
    provider.key, provider.kid = fake.OTHER_KEY, "k2"
    provider.published = {"k2": fake.OTHER_KEY}
    second = Client()
    arrive(second, provider)
    assert who(second) == "ada"


@pytest.mark.filterwarnings("ignore:The HMAC key")
@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_an_unsigned_token_and_one_signed_with_public_words_are_refused(
    provider, stranger, algorithm
):
    provider.algorithm = algorithm
    assert arrive(stranger, provider).status_code == 400
    assert "alg" in why()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"state": "another"}, "state"),
        ({"state": ""}, "state"),
        ({"code": "another"}, "answered 400"),
        ({"code": ""}, "no code"),
        ({"iss": "https://elsewhere.example"}, "another issuer"),
        ({"error": "access_denied"}, "access_denied"),
    ],
)
def test_an_answer_that_was_not_asked_for_is_refused(provider, stranger, changed, words):
    assert arrive(stranger, provider, **changed).status_code == 400
    assert words in why()
    assert who(stranger) == ""


def test_an_answer_is_good_once_and_in_the_browser_that_asked(provider, stranger):
    answer = provider.follow(stranger.get(BEGIN).headers["Location"])
    assert Client().get(BACK, answer).status_code == 400
    assert stranger.get(BACK, answer).status_code == 302
    assert stranger.get(BACK, answer).status_code == 400


def test_an_answer_that_comes_late_is_refused(provider, stranger):
    answer = provider.follow(stranger.get(BEGIN).headers["Location"])
    session = stranger.session
    session["kos_provider"] = session["kos_provider"] | {"at": time.time() - 601}
    session.save()
    assert stranger.get(BACK, answer).status_code == 400


def test_a_code_with_another_verifier_gets_no_token(provider, stranger):
    answer = provider.follow(stranger.get(BEGIN).headers["Location"])
    session = stranger.session
    session["kos_provider"] = session["kos_provider"] | {"verifier": "x" * 43}
    session.save()
    assert stranger.get(BACK, answer).status_code == 400
    assert "answered 400" in why()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"email_verified": False}, "not verified"),
        ({"email_verified": "true"}, "not verified"),
        ({"email_verified": None}, "not verified"),
        ({"email": "ada@example.org.evil.example"}, "domain"),
        ({"email": "ada@sub.example.org"}, "domain"),
        ({"email": "ada"}, "domain"),
    ],
)
def test_whom_the_domain_does_not_let_in_is_told_why(provider, stranger, changed, words):
    provider.person |= changed
    answer = arrive(stranger, provider)
    assert answer.status_code == 403
    assert words in answer.content.decode()
    assert not User.objects.exists()


@pytest.mark.parametrize("groups", [["another"], "another", [7, None], {"kos": 1}, None])
def test_whom_no_group_lets_in_is_refused_each_time(provider, stranger, settings, groups):
    settings.OIDC_GROUPS = ["kos"]
    arrive(stranger, provider)
    assert who(stranger) == "ada"
    provider.person["groups"] = groups
    assert arrive(Client(), provider).status_code == 403


def test_an_unverified_email_is_not_kept(provider, stranger, settings):
    settings.OIDC_DOMAINS, settings.OIDC_GROUPS = [], ["kos"]
    provider.person["email_verified"] = False
    arrive(stranger, provider)
    assert User.objects.get(username="ada").email == ""


def test_nobody_new_comes_in_where_no_domain_or_group_is_named(provider, stranger, settings):
    settings.OIDC_DOMAINS = []
    answer = arrive(stranger, provider)
    assert answer.status_code == 403
    assert "ask an admin" in answer.content.decode()


def test_a_locked_account_stays_out(provider, stranger, admin):
    arrive(stranger, provider)
    membership.deactivate(admin.user, User.objects.get(username="ada"))
    second = Client()
    answer = arrive(second, provider)
    assert (answer.status_code, who(second)) == (403, "")
    assert "locked" in answer.content.decode()


def test_an_account_with_that_email_is_not_taken(provider, stranger):
    make_user("countess", Role.ADMIN, email="ADA@example.org")
    answer = arrive(stranger, provider)
    assert (answer.status_code, who(stranger)) == (403, "")
    assert "bind this sign-in under Settings" in answer.content.decode()
    assert not Identity.objects.exists()


def test_an_admin_lets_an_account_in_by_its_email(provider, stranger, admin):
    user = make_user("countess", email="Ada@example.org")
    admin.post(f"/members/{user.pk}/change/", {"what": "allow"})
    arrive(stranger, provider)
    assert who(stranger) == "countess"
    assert Identity.objects.get().subject == "ada-1"


def test_by_email_comes_in_only_who_has_verified_it(provider, stranger, admin, settings):
    settings.OIDC_DOMAINS, settings.OIDC_GROUPS = [], ["kos"]
    identities.allow(admin.user, make_user("countess", email="ada@example.org"))
    provider.person["email_verified"] = False
    arrive(stranger, provider)
    assert who(stranger) == "ada"


def test_the_email_that_counts_is_that_of_the_admins_word(provider, stranger, admin):
    user = make_user("countess", email="countess@example.org")
    identities.allow(admin.user, user)
    user.email = "ada@example.org"
    user.save(update_fields=["email"])
    assert arrive(stranger, provider).status_code == 403


def test_two_accounts_cannot_wait_for_one_email(provider, admin):
    identities.allow(admin.user, make_user("one", email="ada@example.org"))
    with pytest.raises(UserError, match="Another account waits"):
        identities.allow(admin.user, make_user("two", email="Ada@example.org"))


def test_a_person_binds_with_the_password_after_coming_back(provider, engineer):
    answer = arrive(engineer, provider)
    assert answer.headers["Location"] == "/settings/identity/"
    assert b"ada@example.org" in engineer.get("/settings/identity/").content
    told = {"what": "bind", "password": PASSWORD}
    assert engineer.post("/settings/identity/", told).status_code == 302
    browser = Client()
    arrive(browser, provider)
    assert who(browser) == "engineer"


def test_nothing_is_bound_without_the_password(provider, engineer):
    arrive(engineer, provider)
    answer = engineer.post("/settings/identity/", {"what": "bind", "password": "wrong"})
    assert (answer.status_code, Identity.objects.count()) == (400, 0)


def test_what_somebody_else_began_in_this_browser_binds_nothing(provider, engineer, stranger):
    away = provider.follow(stranger.get(BEGIN).headers["Location"])
    stranger.force_login(engineer.user)
    assert stranger.get(BACK, away).status_code == 400
    assert not Identity.objects.exists()


def test_a_subject_of_another_account_is_not_bound_again(provider, engineer):
    identities.bind(make_user("first"), "ada-1", "ada@example.org")
    arrive(engineer, provider)
    told = {"what": "bind", "password": PASSWORD}
    assert b"another account" in engineer.post("/settings/identity/", told).content


def test_what_is_bound_can_be_taken_away_with_the_password(provider, engineer):
    identities.bind(engineer.user, "ada-1", "ada@example.org")
    told = {"what": "remove", "password": PASSWORD}
    assert engineer.post("/settings/identity/", told).status_code == 302
    assert not Identity.objects.exists()


def test_nobody_takes_away_the_only_way_in(provider):
    user = make_user("ada")
    user.set_unusable_password()
    identities.bind(user, "ada-1", "")
    with pytest.raises(UserError, match="no password"):
        identities.remove(user, user)


def test_a_reset_takes_the_binding_too(provider, admin):
    user = make_user("ada", email="ada@example.org")
    identities.bind(user, "ada-1", "ada@example.org")
    membership.reset_password(admin.user, user)
    assert not Identity.objects.exists()


def test_an_admin_unbinds(provider, admin):
    identities.bind(user := make_user("ada"), "ada-1", "")
    admin.post(f"/members/{user.pk}/change/", {"what": "unbind"})
    assert not Identity.objects.exists()
    assert AuditEntry.objects.filter(verb=Verb.IDENTITY_REMOVED).count() == 1


def test_the_second_factor_is_asked_for_after_the_provider(provider, stranger):
    user = make_user("ada")
    identities.bind(user, "ada-1", "ada@example.org")
    totp = pyotp.TOTP(unseal(second_factor.begin(user).secret))
    second_factor.confirm(user, totp.at(time.time() - 30))
    assert arrive(stranger, provider).headers["Location"] == reverse("accounts:code")
    assert who(stranger) == ""
    stranger.post("/sign-in/code/", {"code": totp.now()})
    assert who(stranger) == "ada"
    assert AuditEntry.objects.get(verb=Verb.SIGNED_IN).after == {"by": "Example"}


def test_failures_are_counted_and_hold_back(provider, stranger):
    for _ in range(30):
        assert stranger.get(BACK, {"state": "guess"}).status_code == 400
    answer = stranger.get(BACK, {"state": "guess"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "15")
    assert arrive(stranger, provider).status_code == 429


def test_a_success_takes_back_its_own_try_alone(provider, stranger):
    stranger.get(BACK, {"state": "guess"})
    arrive(stranger, provider)
    place = brakes.of_address("127.0.0.1")
    assert brakes.Brake.objects.get(pk=place.key).failures == 1


@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/runs/?q=1", "/runs/?q=1"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("http:///evil.example", "/"),
        ("", "/"),
    ],
)
def test_nobody_is_sent_off_the_console_afterwards(provider, stranger, wanted, led):
    away = stranger.get(BEGIN, {"next": wanted})
    answer = stranger.get(BACK, provider.follow(away.headers["Location"]))
    assert answer.headers["Location"] == led


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://elsewhere.example"},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
def test_a_provider_that_describes_itself_wrongly_is_not_gone_to(provider, stranger, document):
    provider.document = document
    assert stranger.get(BEGIN).status_code == 502
    assert provider.asked == ["/.well-known/openid-configuration"]


def test_a_provider_that_is_down_is_said_to_be(provider, stranger, settings):
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    answer = stranger.get(BEGIN)
    assert (answer.status_code, b"try again soon" in answer.content) == (502, True)


@pytest.mark.parametrize(
    "value",
    [
        "http://id.example.org",
        "id.example.org",
        "https://",
        "ftp://x",
        "https://id.example.org/?a",
    ],
)
def test_an_issuer_without_tls_is_no_setting(monkeypatch, value):
    monkeypatch.setenv("KOS_OIDC_ISSUER", value)
    with pytest.raises(environment.ImproperlyConfigured):
        environment.issuer("KOS_OIDC_ISSUER")


def test_a_role_that_is_none_is_no_setting(monkeypatch):
    monkeypatch.setenv("KOS_OIDC_ROLES", '{"staff": "god"}')
    with pytest.raises(environment.ImproperlyConfigured, match="'god'"):
        environment.choices("KOS_OIDC_ROLES", {"admin"})


def test_the_button_is_there_where_a_provider_is(provider, stranger, settings):
    assert b"Sign in with Example" in stranger.get("/sign-in/?next=/runs/").content
    settings.OIDC_ISSUER = ""
    assert b"Sign in with" not in stranger.get("/sign-in/").content


@pytest.mark.parametrize("path", [BEGIN, BACK, "/settings/identity/"])
def test_without_a_provider_nothing_is_there(engineer, path):
    assert engineer.get(path).status_code == 404


def test_neither_code_nor_token_nor_secret_is_logged(provider, stranger, caplog):
    caplog.set_level(logging.DEBUG)
    arrive(stranger, provider)
    arrive(Client(), provider, state="another")
    for secret in (fake.SECRET, "eyJ", "code-0", "code-1"):
        assert secret not in caplog.text


def test_an_account_without_a_password_is_asked_for_none(provider, stranger):
    arrive(stranger, provider)
    assert b"You have none: Example signs you in" in stranger.get("/settings/").content
    assert b"You have no password here" in stranger.get("/settings/second-factor/").content
