from __future__ import annotations

import re
import time

import pyotp
import pytest
from django.test import Client

from apps.accounts import second_factor
from apps.accounts.models import AuditEntry, Role, SecondFactor
from apps.accounts.sealing import unseal
from tests.factories import PASSWORD, make_user

PAGE = "/settings/second-factor/"


@pytest.fixture
def ada(db):
    return make_user("ada", Role.ENGINEER)


def code_of(user, *, steps: int = 0) -> str:
    totp = pyotp.TOTP(unseal(SecondFactor.objects.get(user=user).secret))
    return totp.at(time.time(), counter_offset=steps)


def enrol(user) -> list[str]:
    second_factor.begin(user)
    codes = second_factor.confirm(user, code_of(user))
    # As if the code of the enrolment were long ago.
    SecondFactor.objects.filter(user=user).update(last_counter=0)
    return codes


def sign_in(password: str = PASSWORD) -> Client:
    browser = Client()
    browser.post("/sign-in/", {"username": "ada", "password": password, "next": "/tokens/"})
    return browser


def is_in(browser: Client) -> bool:
    return browser.get("/settings/").status_code == 200


def verbs() -> list[str]:
    return [*AuditEntry.objects.order_by("pk").values_list("verb", flat=True)]


def test_a_password_alone_no_longer_signs_in(ada):
    enrol(ada)
    browser = sign_in()
    assert not is_in(browser)
    answer = browser.post("/sign-in/code/", {"code": code_of(ada)})
    assert answer.headers["Location"] == "/tokens/"
    assert is_in(browser)


def test_without_a_password_there_is_no_page_for_a_code(ada):
    enrol(ada)
    assert sign_in("wrong").get("/sign-in/code/").headers["Location"] == "/sign-in/"
    assert Client().post("/sign-in/code/", {"code": code_of(ada)}).status_code == 302


def test_a_code_works_once(ada):
    enrol(ada)
    code = code_of(ada)
    sign_in().post("/sign-in/code/", {"code": code})
    browser = sign_in()
    answer = browser.post("/sign-in/code/", {"code": code})
    assert answer.status_code == 400
    assert b"used before" in answer.content
    assert not is_in(browser)


@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_be_off_by_half_a_minute(ada, steps, is_good, monkeypatch):
    enrol(ada)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    assert second_factor.check(ada, code_of(ada, steps=steps)) is is_good


def test_a_recovery_code_works_once_however_it_is_typed(ada):
    codes = enrol(ada)
    assert second_factor.check(ada, codes[0].lower().replace("-", " "))
    assert not second_factor.check(ada, codes[0])
    assert len(SecondFactor.objects.get().recovery) == 9
    assert "recovery_code_used" in verbs()


def test_neither_secret_nor_recovery_codes_lie_readable_in_the_database(ada):
    codes = enrol(ada)
    row = SecondFactor.objects.get()
    assert unseal(row.secret) not in row.secret
    assert not {code.replace("-", "") for code in codes} & {*row.recovery}


def test_codes_are_guessed_five_times_and_then_nothing_is_looked_at(ada):
    enrol(ada)
    browser = sign_in()
    for _ in range(5):
        assert browser.post("/sign-in/code/", {"code": "000000"}).status_code == 400
    answer = browser.post("/sign-in/code/", {"code": code_of(ada)})
    assert answer.status_code == 429
    assert not is_in(browser)
    assert not is_in(sign_in())


def test_the_step_ends_after_five_minutes_and_with_another_password(ada, monkeypatch):
    enrol(ada)
    late, changed = sign_in(), sign_in()
    now = time.time()
    monkeypatch.setattr("apps.accounts.entrance.time.time", lambda: now + 301)
    assert late.get("/sign-in/code/").status_code == 302
    monkeypatch.undo()
    ada.set_password("olives and terracotta")
    ada.save()
    assert changed.get("/sign-in/code/").status_code == 302


def test_enrolling_shows_the_address_as_text_and_as_a_drawing(engineer):
    engineer.post(PAGE, {"what": "begin", "password": PASSWORD})
    page = engineer.get(PAGE).content.decode()
    assert "otpauth://totp/Kos:engineer?secret=" in page
    assert re.search(r'<svg class="qr" viewBox="0 0 \d+ \d+".*<path d="M4 4h1v1h-1z', page)


def test_enrolling_ends_with_recovery_codes_that_are_shown_once(engineer):
    engineer.post(PAGE, {"what": "begin", "password": PASSWORD})
    page = engineer.post(
        PAGE, {"what": "confirm", "code": code_of(engineer.user)}
    ).content.decode()
    codes = re.findall(r"[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}", page)
    assert len({*codes}) == 10
    assert codes[0] not in engineer.get(PAGE).content.decode()
    assert "second_factor_on" in verbs()


def test_a_secret_without_its_first_code_does_not_count(engineer):
    engineer.post(PAGE, {"what": "begin", "password": PASSWORD})
    assert engineer.post(PAGE, {"what": "confirm", "code": "000000"}).status_code == 400
    assert second_factor.of(engineer.user) is None


@pytest.mark.parametrize("what", ["begin", "renew", "off"])
def test_a_browser_left_open_does_not_change_it(engineer, what):
    enrol(engineer.user)
    before = SecondFactor.objects.values().get()
    answer = engineer.post(PAGE, {"what": what, "password": "wrong"})
    assert answer.status_code == 400
    assert SecondFactor.objects.values().get() == before


def test_it_is_switched_off_with_the_password(engineer):
    enrol(engineer.user)
    engineer.post(PAGE, {"what": "off", "password": PASSWORD})
    assert second_factor.of(engineer.user) is None
    assert "second_factor_off" in verbs()


def test_an_admin_resets_it_by_page_and_by_call(admin, ada):
    enrol(ada)
    admin.post(f"/members/{ada.pk}/change/", {"what": "factor"})
    assert second_factor.of(ada) is None
    enrol(ada)
    assert admin.get(f"/api/members/{ada.pk}").json()["has_second_factor"] is True
    assert admin.delete(f"/api/members/{ada.pk}/second-factor").status_code == 204
    assert admin.delete(f"/api/members/{ada.pk}/second-factor").status_code == 409
    assert verbs().count("second_factor_reset") == 2


def test_nobody_else_resets_it(engineer, ada):
    enrol(ada)
    assert engineer.delete(f"/api/members/{ada.pk}/second-factor").status_code == 403
    assert second_factor.of(ada) is not None


def test_a_link_to_choose_a_password_asks_for_the_code_too(admin, ada):
    enrol(ada)
    page = admin.post(f"/members/{ada.pk}/change/", {"what": "reset"}).content.decode()
    link = re.search(r'value="(http://testserver/welcome/[^"]+)"', page)[1]
    browser = Client()
    words = {"new_password1": "salt on limestone", "new_password2": "salt on limestone"}
    assert browser.post(link, words).headers["Location"] == "/sign-in/code/"
    assert not is_in(browser)


def test_djangos_own_door_leads_to_ours(stranger, admin, engineer):
    assert engineer.get("/admin/", follow=True).status_code == 403
    answer = stranger.get("/admin/login/?next=/admin/")
    assert answer.headers["Location"] == "/sign-in/?next=/admin/"
    assert admin.get("/admin/").status_code == 200
    assert admin.get(f"/admin/accounts/user/{admin.user.pk}/password/").status_code in (302, 404)
