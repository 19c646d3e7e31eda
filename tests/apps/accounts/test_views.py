from __future__ import annotations

import pytest
from django.urls import reverse

from apps.accounts import services
from tests.factories import PASSWORD, make_user


def test_signing_in_leads_to_the_page_that_was_asked_for(stranger, db):
    make_user("mira")
    form = {"username": "mira", "password": PASSWORD, "next": "/tokens/"}
    response = stranger.post("/sign-in/", form)
    assert response.headers["Location"] == "/tokens/"


def test_a_wrong_password_is_said_without_naming_which_part_is_wrong(stranger, db):
    make_user("mira")
    response = stranger.post("/sign-in/", {"username": "mira", "password": "guess"})
    assert b"The name or the password is wrong" in response.content


def test_signing_out_ends_the_session(engineer):
    engineer.post("/sign-out/")
    assert engineer.get("/tokens/").status_code == 302


def test_signing_out_needs_a_post(engineer):
    assert engineer.get("/sign-out/").status_code == 405


def test_a_chosen_theme_is_on_the_next_page(engineer):
    engineer.post("/theme/", {"theme": "dark", "next": "/tokens/"})
    assert b'data-theme="dark"' in engineer.get("/tokens/").content
    assert engineer.cookies["theme"].value == "dark"


def test_a_theme_that_does_not_exist_is_refused(engineer):
    assert engineer.post("/theme/", {"theme": "neon"}).status_code == 400


def test_the_theme_form_never_leads_off_the_console(engineer):
    form = {"theme": "dark", "next": "https://elsewhere.example/"}
    assert engineer.post("/theme/", form).headers["Location"] == "/"


def test_a_new_token_is_shown_once(clinician):
    shown = clinician.post("/tokens/", {"name": "script", "days": "30"}).content.decode()
    text = shown.split('value="kos_')[1].split('"')[0]
    assert services.user_of_token(f"kos_{text}") == clinician.user
    assert text not in clinician.get("/tokens/").content.decode()


def test_a_token_without_a_name_is_refused_beside_the_field(clinician):
    response = clinician.post("/tokens/", {"name": "", "days": "30"})
    assert response.status_code == 400
    assert b"id_name_error" in response.content


def test_a_revoked_token_no_longer_opens_anything(clinician):
    token, text = services.create_token(clinician.user, "script")
    clinician.post(reverse("accounts:revoke", args=[token.pk]))
    assert services.user_of_token(text) is None


def test_nobody_revokes_the_token_of_another(clinician, engineer):
    token, text = services.create_token(engineer.user, "script")
    response = clinician.post(reverse("accounts:revoke", args=[token.pk]))
    assert response.status_code == 404
    assert services.user_of_token(text) == engineer.user


@pytest.mark.parametrize("path", ["/tokens/"])
def test_a_stranger_is_sent_to_sign_in(stranger, db, path):
    assert stranger.get(path).headers["Location"] == f"/sign-in/?next={path}"


@pytest.mark.parametrize("path", ["/theme/", "/tokens/1/revoke/"])
def test_what_changes_something_needs_a_post(engineer, path):
    assert engineer.get(path).status_code == 405


def test_the_rail_hides_what_a_role_cannot_use(clinician, engineer):
    assert b'href="/runs/"' not in clinician.get("/tokens/").content
    assert b'href="/runs/"' in engineer.get("/tokens/").content


def test_the_wrong_role_is_told_which_one_is_needed(clinician):
    response = clinician.get("/runs/")
    assert response.status_code == 403
    assert b"This page is for engineers." in response.content
