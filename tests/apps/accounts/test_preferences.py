from __future__ import annotations

import pytest
from django.test import Client

from apps.accounts import sessions
from apps.accounts.models import AuditEntry
from tests.factories import PASSWORD


def sign_in(name: str, agent: str = "") -> Client:
    browser = Client(headers={"User-Agent": agent})
    browser.post("/sign-in/", {"username": name, "password": PASSWORD})
    return browser


def test_theme_rows_and_keys_are_kept_and_used(engineer):
    engineer.post("/settings/", {"what": "looks", "theme": "dark", "density": "compact"})
    page = engineer.get("/runs/").content.decode()
    assert 'data-theme="dark"' in page
    assert 'data-density="compact"' in page
    assert 'data-keys="off"' in page


def test_the_theme_reaches_the_sign_in_page_by_a_cookie(engineer):
    words = {"what": "looks", "theme": "dark", "density": "cosy", "has_shortcuts": "on"}
    assert engineer.post("/settings/", words).cookies["theme"].value == "dark"


def test_an_unknown_density_is_refused_and_changes_nothing(engineer):
    answer = engineer.post("/settings/", {"what": "looks", "theme": "dark", "density": "huge"})
    engineer.user.refresh_from_db()
    assert (answer.status_code, engineer.user.theme) == (400, "system")


def test_name_and_address_are_kept_and_nothing_beside_them(engineer):
    words = {"first_name": "Ada", "last_name": "L", "email": "a@b.org", "role": "admin"}
    engineer.post("/settings/", {"what": "name", **words})
    engineer.user.refresh_from_db()
    assert (engineer.user.get_full_name(), engineer.user.role) == ("Ada L", "engineer")


def test_a_new_password_keeps_this_browser_and_signs_out_the_others(engineer):
    other = sign_in(engineer.user.username)
    new = "olives and terracotta"
    words = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    engineer.post("/settings/", {"what": "password", **words})
    assert engineer.get("/settings/").status_code == 200
    assert other.get("/settings/").status_code == 302


def test_a_wrong_old_password_is_said_at_its_field(engineer):
    new = "olives and terracotta"
    words = {"old_password": "wrong", "new_password1": new, "new_password2": new}
    answer = engineer.post("/settings/", {"what": "password", **words})
    assert answer.status_code == 400
    assert b"entered incorrectly" in answer.content


def test_sessions_say_from_which_browser_they_are(engineer):
    agent = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"
    browser = sign_in(engineer.user.username, agent)
    page = browser.get("/settings/").content.decode()
    assert "Firefox on Linux" in page
    assert browser.session.session_key not in page


def test_one_session_is_ended_from_another(engineer):
    lost = sign_in(engineer.user.username)
    (name,) = [
        place.name
        for place in sessions.of(engineer.user, current=engineer.session.session_key)
        if not place.is_current
    ]
    engineer.post(f"/settings/sessions/{name}/end/")
    assert lost.get("/settings/").status_code == 302
    assert engineer.get("/settings/").status_code == 200
    assert AuditEntry.objects.filter(verb="session_ended").exists()


def test_anothers_session_cannot_be_ended(engineer, reviewer):
    (place,) = sessions.of(reviewer.user, current=None)
    assert engineer.post(f"/settings/sessions/{place.name}/end/").status_code == 404
    assert reviewer.get("/settings/").status_code == 200


def test_all_others_are_ended_at_once(engineer):
    browsers = [sign_in(engineer.user.username) for _ in range(2)]
    engineer.post("/settings/sessions/others/end/")
    assert {browser.get("/settings/").status_code for browser in browsers} == {302}


@pytest.mark.parametrize("role", ["engineer", "reviewer", "clinician", "admin"])
def test_settings_are_for_everybody(request, role):
    assert request.getfixturevalue(role).get("/settings/").status_code == 200


def test_a_stranger_is_sent_to_sign_in(stranger):
    assert stranger.get("/settings/")["Location"].startswith("/sign-in/")


def test_ending_a_session_is_never_a_link(engineer):
    assert engineer.get("/settings/sessions/others/end/").status_code == 405


@pytest.mark.parametrize("poor", ["short words", "123456789012", "engineer-123", "qwerty123456"])
def test_a_poor_password_is_refused_wherever_one_is_chosen(engineer, poor):
    words = {"old_password": PASSWORD, "new_password1": poor, "new_password2": poor}
    answer = engineer.post("/settings/", {"what": "password", **words})
    assert answer.status_code == 400
    assert engineer.user.check_password(PASSWORD)


def test_old_passwords_are_not_guessed_in_an_open_browser(engineer):
    new = "olives and terracotta"
    words = {"old_password": "wrong", "new_password1": new, "new_password2": new}
    for _ in range(5):
        engineer.post("/settings/", {"what": "password", **words})
    right = words | {"old_password": PASSWORD}
    answer = engineer.post("/settings/", {"what": "password", **right}, follow=True)
    assert b"Too many wrong passwords" in answer.content
    engineer.user.refresh_from_db()
    assert engineer.user.check_password(PASSWORD)
