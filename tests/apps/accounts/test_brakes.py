from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts import brakes, services
from apps.accounts.models import AuditEntry, Brake, Role
from apps.accounts.templatetags.numbers import wait
from tests.factories import PASSWORD, make_user

WRONG = "not the password"


def sign_in(name: str, password: str = WRONG, address: str = "10.0.0.1"):
    return Client(REMOTE_ADDR=address).post("/sign-in/", {"username": name, "password": password})


def let_pass(seconds: float) -> None:
    """As if so long had gone by."""
    for row in Brake.objects.exclude(until=None):
        row.until -= timedelta(seconds=seconds)
        row.save(update_fields=["until"])


@pytest.fixture
def locked(db):
    make_user("mira")
    for _ in range(5):
        assert sign_in("mira").status_code == 200


def test_after_five_wrong_passwords_the_right_one_is_not_looked_at(locked):
    answer = sign_in("mira", PASSWORD)
    assert answer.status_code == 429
    assert "sessionid" not in answer.cookies and "kos_session" not in answer.cookies


def test_a_locked_out_person_reads_when_to_try_again(locked):
    answer = sign_in("mira", PASSWORD)
    assert 1 <= int(answer.headers["Retry-After"]) <= 15
    assert b"try again in" in answer.content
    assert b"<time" in answer.content


def test_after_the_wait_the_right_password_signs_in_and_clears_what_failed(locked):
    let_pass(16)
    assert sign_in("mira", PASSWORD).status_code == 302
    assert sign_in("mira").status_code == 200
    assert brakes.held_until(brakes.of_name("mira")) is None


def test_each_wait_is_twice_as_long_up_to_a_quarter_of_an_hour(locked):
    waits = []
    for _ in range(8):
        row = Brake.objects.get(pk=brakes.of_name("mira").key)
        waits.append(round((row.until - row.touched).total_seconds()))
        let_pass(1000)
        sign_in("mira")
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900]


def test_tries_during_the_wait_do_not_lengthen_it(locked):
    before = Brake.objects.get(pk=brakes.of_name("mira").key).until
    sign_in("mira")
    assert Brake.objects.get(pk=brakes.of_name("mira").key).until == before


def test_a_name_that_nobody_has_is_held_back_just_so(locked):
    known = sign_in("mira")
    for _ in range(5):
        assert sign_in("nobody", address="10.0.0.9").content.count(b"wrong") == 1
    unknown = sign_in("nobody", address="10.0.0.9")
    texts = [one.content.decode().split('id="held"')[1][:60] for one in (known, unknown)]
    assert unknown.status_code == 429
    assert texts[0] == texts[1]


def test_capitals_and_spaces_are_no_second_name(locked):
    assert sign_in(" MIRA ").status_code == 429


def test_others_sign_in_from_there_all_the_same(locked):
    make_user("cara")
    assert sign_in("cara", PASSWORD).status_code == 302


def test_an_address_that_tries_many_names_is_held_back(db):
    make_user("mira")
    for number in range(30):
        sign_in(f"name-{number}")
    assert sign_in("mira", PASSWORD).status_code == 429
    assert sign_in("mira", PASSWORD, address="10.0.0.2").status_code == 302


def test_an_own_account_does_not_clear_an_address(db):
    make_user("eve")
    for number in range(29):
        sign_in(f"name-{number}")
        sign_in("eve", PASSWORD)
    sign_in("one-more")
    assert sign_in("mira").status_code == 429


def test_an_ipv6_house_is_one_address():
    inside, next_door = "2001:db8:1:2::5", "2001:db8:1:2:ffff::9"
    assert brakes.of_address(inside) == brakes.of_address(next_door)
    assert brakes.of_address(inside) != brakes.of_address("2001:db8:1:3::5")


def test_what_was_typed_is_not_kept_as_text(db):
    sign_in("hunter2")
    assert not any("hunter2" in str(row.__dict__) for row in Brake.objects.all())


def test_a_wait_is_in_the_audit_log_once(locked):
    sign_in("mira")
    assert AuditEntry.objects.filter(verb="sign_in_held", title="mira").count() == 1


def test_after_a_day_it_is_forgotten(locked):
    Brake.objects.update(touched=timezone.now() - timedelta(hours=25), until=None)
    assert brakes.take(brakes.of_name("mira")) is None
    assert Brake.objects.get(pk=brakes.of_name("mira").key).failures == 1


def ask(text: str, address: str = "10.0.0.7"):
    headers = {"Authorization": f"Bearer {text}"}
    return Client(REMOTE_ADDR=address).get("/api/me", headers=headers)


def test_who_guesses_tokens_waits_and_reads_how_long(db):
    for number in range(20):
        assert ask(f"kos_{number}").status_code == 401
    answer = ask("kos_more")
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_token_that_is_guessed_meanwhile_is_refused_like_any_other(db):
    text = services.create_token(make_user(role=Role.ENGINEER), "ci").text
    for number in range(20):
        ask(f"kos_{number}")
    assert ask(text).status_code == 429
    assert ask(text, address="10.9.0.1").status_code == 200


def test_a_token_that_was_used_there_goes_on_beside_a_guesser(db):
    text = services.create_token(make_user(role=Role.ENGINEER), "ci").text
    assert ask(text).status_code == 200
    for number in range(20):
        ask(f"kos_{number}")
    assert ask(text).status_code == 200


def test_a_right_token_costs_no_look_at_the_brake(db, django_assert_num_queries):
    made = services.create_token(make_user(), "ci")
    services.note_use(made.token, "10.0.0.7")
    with django_assert_num_queries(1):
        assert services.admit_token(made.text, "10.0.0.7") == made.token


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "1 second"), (14.9, "15 seconds"), (170, "3 minutes")]
)
def test_a_wait_is_told_in_words(seconds, said):
    assert wait(timezone.now() + timedelta(seconds=seconds)) == said
