from __future__ import annotations

import pytest
from django.test import Client

from apps.accounts import saved
from apps.accounts.models import AuditEntry, Scope
from apps.accounts.services import create_token, find_token
from tests.factories import make_user

VIEW = {"page": "runs:list", "name": "Failed", "query": "status=failed"}


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_view_is_kept_found_and_deleted(engineer):
    made = engineer.post("/api/views/", VIEW, "application/json").json()
    assert made["url"] == "/runs/?status=failed"
    assert [one["name"] for one in engineer.get("/api/views/").json()["items"]] == ["Failed"]
    assert engineer.delete(f"/api/views/{made['id']}").status_code == 204
    assert engineer.get("/api/views/").json()["items"] == []


def test_anothers_view_is_seen_when_shared_and_never_deleted(engineer, reviewer):
    own = saved.keep_view(engineer.user, "runs:list", "own", "")
    shared = saved.keep_view(engineer.user, "runs:list", "shared", "", is_shared=True)
    assert reviewer.get(f"/api/views/{own.pk}").status_code == 404
    assert reviewer.get(f"/api/views/{shared.pk}").status_code == 200
    assert reviewer.delete(f"/api/views/{shared.pk}").status_code == 403


def test_a_list_that_is_not_there_has_no_views(engineer):
    answer = engineer.post("/api/views/", VIEW | {"page": "no:where"}, "application/json")
    assert answer.status_code == 409


def test_sessions_are_listed_without_their_keys_and_ended(engineer):
    (place,) = engineer.get("/api/sessions/").json()["items"]
    assert place["is_current"] is True
    assert engineer.session.session_key not in str(place)
    assert engineer.delete(f"/api/sessions/{place['name']}").status_code == 204
    assert engineer.get("/api/me").status_code == 401


def test_a_token_ends_every_browser_of_its_owner(engineer):
    text = create_token(engineer.user, "ci", scopes=[Scope.ACCOUNT]).text
    answer = Client().delete("/api/sessions/", headers=bearer(text))
    assert answer.status_code == 204
    assert engineer.get("/settings/").status_code == 302


def test_anothers_session_is_not_there(engineer, reviewer):
    (place,) = reviewer.get("/api/sessions/").json()["items"]
    assert engineer.delete(f"/api/sessions/{place['name']}").status_code == 404


def test_the_log_is_read_by_admins_and_narrowed(admin, engineer):
    admin.post("/api/members/", {"username": "nova"}, "application/json")
    create_token(engineer.user, "x")
    found = admin.get("/api/audit/?verb=member_added").json()["items"]
    assert [(one["username"], one["title"]) for one in found] == [("admin", "nova")]
    assert admin.get("/api/audit/?is_security=true").json()["items"] == found
    assert engineer.get("/api/audit/").status_code == 403
    assert admin.get("/api/audit/?verb=baked").status_code == 422


def test_a_token_gives_itself_alone_a_new_text(engineer):
    token, text = create_token(engineer.user, "ci", scopes=[Scope.ACCOUNT])
    other = create_token(engineer.user, "all").token
    refused = engineer.post(f"/api/tokens/{other.pk}/rotate", headers=bearer(text))
    assert refused.status_code == 403
    made = engineer.post(f"/api/tokens/{token.pk}/rotate", headers=bearer(text)).json()
    assert find_token(text) is None
    assert find_token(made["text"]) == token
    assert made["token"]["scopes"] == ["account"]


def test_ones_name_is_changed_and_ones_role_is_not(engineer):
    answer = engineer.patch("/api/me", {"first_name": "Ada"}, "application/json")
    assert answer.json()["first_name"] == "Ada"
    assert engineer.patch("/api/me", {"role": "admin"}, "application/json").status_code == 422


@pytest.mark.parametrize("path", ["/api/views/", "/api/sessions/", "/api/audit/"])
def test_a_stranger_gets_nothing(stranger, path):
    make_user()
    assert stranger.get(path).status_code == 401
    assert not AuditEntry.objects.exists()
