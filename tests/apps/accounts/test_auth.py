from __future__ import annotations

from django.test import Client

from apps.accounts import services
from apps.accounts.models import Role
from tests.factories import make_user


def bearer(user) -> dict[str, str]:
    return {"Authorization": f"Bearer {services.create_token(user, 'test').text}"}


def test_a_token_opens_the_api(stranger, db):
    assert stranger.get("/api/datasets/", headers=bearer(make_user())).status_code == 200


def test_a_wrong_token_is_refused_even_beside_a_session(engineer):
    headers = {"Authorization": "Bearer kos_wrong"}
    assert engineer.get("/api/datasets/", headers=headers).status_code == 401


def test_a_session_opens_the_api_for_reading(engineer):
    assert engineer.get("/api/datasets/").status_code == 200


def test_a_session_writes_only_with_its_csrf_token(db):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user())
    response = browser.post("/api/runs/", {"kind": "base"}, content_type="application/json")
    assert response.status_code == 403


def test_a_stranger_gets_401(stranger, db):
    assert stranger.get("/api/datasets/").status_code == 401


def test_the_api_knows_roles_too(stranger, db):
    headers = bearer(make_user(role=Role.CLINICIAN))
    assert stranger.get("/api/traces/", headers=headers).status_code == 403
