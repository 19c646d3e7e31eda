from __future__ import annotations

import re

import pytest
from django.test import Client

from apps.accounts import membership
from apps.accounts.models import AuditEntry, Role, User
from apps.accounts.services import create_token
from kos.errors import UserError
from tests.factories import make_user


def invite(admin, **fields) -> str:
    """Make an account on the page; the link it shows."""
    fields = {"username": "nova", "role": "reviewer", "name": "Nova Hall"} | fields
    page = admin.post("/members/", fields).content.decode()
    found = re.search(r'value="(http://testserver/welcome/[^"]+)"', page)
    assert found, page
    return found[1]


def change(admin, user, **fields):
    return admin.post(f"/members/{user.pk}/change/", fields, follow=True).content.decode()


def test_an_admin_adds_somebody_who_then_chooses_a_password(admin):
    link = invite(admin)
    new = Client()
    new.post(link, {"new_password1": "salt on limestone", "new_password2": "salt on limestone"})
    user = User.objects.get(username="nova")
    assert user.check_password("salt on limestone")
    assert (user.role, user.get_full_name()) == (Role.REVIEWER, "Nova Hall")
    assert new.get("/tokens/").status_code == 200


def test_the_link_works_once(admin):
    link = invite(admin)
    words = {"new_password1": "salt on limestone", "new_password2": "salt on limestone"}
    Client().post(link, words)
    assert Client().get(link).status_code == 404


def test_a_made_up_link_is_refused(db):
    user = make_user()
    place, _token = membership.link_to(user)
    assert Client().get(f"/welcome/{place}/abc-123/").status_code == 404
    assert Client().get("/welcome/!!/abc/").status_code == 404


def test_a_poor_password_is_refused_with_its_reason(admin):
    answer = Client().post(invite(admin), {"new_password1": "12345", "new_password2": "12345"})
    assert answer.status_code == 400
    assert b"too short" in answer.content


def test_a_taken_name_is_said_beside_the_field(admin):
    make_user("nova")
    answer = admin.post("/members/", {"username": "Nova", "role": "engineer"})
    assert answer.status_code == 400
    assert b"choose another name" in answer.content


def test_a_role_is_given_and_written_down(admin):
    user = make_user("cara", Role.CLINICIAN)
    change(admin, user, what="role", role="admin")
    user.refresh_from_db()
    entry = AuditEntry.objects.get(verb="member_changed")
    assert (user.role, user.is_staff) == ("admin", True)
    assert (entry.before, entry.after) == ({"role": "clinician"}, {"role": "admin"})


def test_the_last_admin_stays_one(admin):
    page = change(admin, admin.user, what="role", role="engineer")
    admin.user.refresh_from_db()
    assert "only admin" in page
    assert admin.user.is_admin


def test_a_locked_admin_does_not_count(admin):
    make_user("other", Role.ADMIN, is_active=False)
    with pytest.raises(UserError, match="only admin"):
        membership.change_role(admin.user, admin.user, Role.ENGINEER)


def test_nobody_locks_themselves_out(admin):
    make_user("other", Role.ADMIN)
    assert "another admin can" in change(admin, admin.user, what="deactivate")


def test_locking_ends_sessions_and_tokens_and_unlocking_brings_the_account_back(admin, engineer):
    token = create_token(engineer.user, "nightly").text
    change(admin, engineer.user, what="deactivate")
    assert engineer.get("/runs/").status_code == 302
    assert (
        Client(headers={"Authorization": f"Bearer {token}"}).get("/api/runs/").status_code == 401
    )
    change(admin, engineer.user, what="activate")
    engineer.user.refresh_from_db()
    assert engineer.user.is_active


def test_a_reset_takes_password_sessions_and_tokens(admin, engineer):
    create_token(engineer.user, "nightly")
    page = change(admin, engineer.user, what="reset")
    engineer.user.refresh_from_db()
    assert "can choose a password" in page
    assert not engineer.user.has_usable_password()
    assert not engineer.user.tokens.exists()
    assert engineer.get("/runs/").status_code == 302


def test_people_are_found_by_name(admin):
    make_user("cara")
    make_user("dora")
    page = admin.get("/members/?q=car").content.decode()
    assert "cara" in page
    assert "dora" not in page


def test_more_people_mean_no_more_queries(admin, django_assert_max_num_queries):
    for _ in range(12):
        make_user()
    with django_assert_max_num_queries(8):
        admin.get("/members/")


@pytest.mark.parametrize("role", ["engineer", "reviewer", "clinician"])
def test_members_are_for_admins(request, role):
    browser = request.getfixturevalue(role)
    assert browser.get("/members/").status_code == 403
    assert browser.post(f"/members/{browser.user.pk}/change/").status_code == 403


def test_a_stranger_is_sent_to_sign_in(stranger):
    assert stranger.get("/members/")["Location"].startswith("/sign-in/")


def test_a_change_is_never_a_link(admin):
    assert admin.get(f"/members/{admin.user.pk}/change/").status_code == 405
