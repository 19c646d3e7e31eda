from __future__ import annotations

import csv
from io import StringIO

import pytest
from django.test import Client

from apps.accounts import audit
from apps.accounts.models import AuditEntry, Verb
from tests.factories import PASSWORD, make_run, make_user


def entry(verb: str) -> AuditEntry:
    return AuditEntry.objects.get(verb=verb)


def test_signing_in_and_out_is_written_down_with_the_address(db):
    make_user("cara")
    browser = Client(REMOTE_ADDR="10.1.2.3")
    browser.post("/sign-in/", {"username": "cara", "password": PASSWORD})
    browser.post("/sign-out/")
    assert (entry(Verb.SIGNED_IN).username, entry(Verb.SIGNED_IN).ip) == ("cara", "10.1.2.3")
    assert entry(Verb.SIGNED_OUT).username == "cara"


def test_an_entry_names_the_request_that_made_it(db):
    make_user("cara")
    words = {"username": "cara", "password": PASSWORD}
    Client().post("/sign-in/", words, headers={"X-Request-ID": "given-by-proxy"})
    assert entry(Verb.SIGNED_IN).request_id == "given-by-proxy"


def test_a_failed_sign_in_is_written_down(db):
    make_user("cara")
    Client().post("/sign-in/", {"username": "cara", "password": "wrong"})
    assert (entry(Verb.SIGN_IN_FAILED).title, entry(Verb.SIGN_IN_FAILED).user) == ("cara", None)


def test_what_was_typed_as_a_name_is_not_kept_if_nobody_has_it(db):
    Client().post("/sign-in/", {"username": "hunter2", "password": "wrong"})
    assert "hunter2" not in entry(Verb.SIGN_IN_FAILED).title


def test_tokens_are_written_down_without_their_text(engineer):
    page = engineer.post("/tokens/", {"name": "nightly", "days": "30"}).content.decode()
    text = page.split('id="token-text" value="')[1].split('"')[0]
    token = engineer.user.tokens.get()
    engineer.post(f"/tokens/{token.pk}/revoke/")
    assert {one.verb for one in AuditEntry.objects.all()} == {"token_made", "token_revoked"}
    assert not any(text in str(one.__dict__) for one in AuditEntry.objects.all())


def test_an_entry_outlives_who_and_what_it_names(db):
    user = make_user("cara")
    audit.note(user, Verb.RUN_DELETED, make_run(name="old run", owner=make_user()))
    user.delete()
    assert (entry(Verb.RUN_DELETED).username, entry(Verb.RUN_DELETED).user) == ("cara", None)
    assert "old run" in entry(Verb.RUN_DELETED).title


def test_long_values_are_cut_and_odd_ones_become_words(db):
    made = audit.note(None, Verb.EXPORTED, "x" * 500, note="y" * 900, kind=make_run)
    assert (len(made.title), len(made.after["note"])) == (200, 300)
    assert isinstance(made.after["kind"], str)


def test_the_log_is_filtered_by_who_what_and_thing(admin):
    run = make_run()
    audit.note(make_user("cara"), Verb.RUN_LAUNCHED, run)
    audit.note(make_user("dora"), Verb.RUN_STOPPED, make_run())
    for query in ("who=cara", "verb=run_launched", f"kind=run&key={run.pk}"):
        page = admin.get(f"/audit/?{query}").content.decode()
        table = page.split("<tbody>")[1].split("</tbody>")[0]
        assert table.count("<tr>") == 1, query
        assert "cara" in table


def test_the_log_is_paged_by_place_and_never_counted(admin, django_assert_max_num_queries):
    for number in range(60):
        audit.note(None, Verb.EXPORTED, f"file {number}")
    with django_assert_max_num_queries(6):
        first = admin.get("/audit/").content.decode()
    last = admin.get(f"/audit/?until={AuditEntry.objects.order_by('-pk')[49].pk}").content.decode()
    assert "file 59" in first
    assert "file 9<" not in first
    assert "file 9<" in last


def test_the_log_as_a_spreadsheet_holds_no_formula(admin):
    audit.note(None, Verb.EXPORTED, "=1+1")
    answer = admin.get("/audit/?format=csv")
    rows = [*csv.DictReader(StringIO(answer.getvalue().decode()))]
    assert "'=1+1" in [row["title"] for row in rows]


def test_taking_the_log_away_is_written_down_too(admin):
    admin.get("/audit/?format=csv")
    assert entry(Verb.EXPORTED).username == "admin"


def test_a_date_that_is_none_filters_nothing_and_says_so(admin):
    page = admin.get("/audit/?after=yesterday").content.decode()
    assert "A date is written as" in page


@pytest.mark.parametrize("role", ["engineer", "reviewer", "clinician"])
def test_the_log_is_for_admins(request, role):
    assert request.getfixturevalue(role).get("/audit/").status_code == 403


def test_a_stranger_is_sent_to_sign_in(stranger):
    assert stranger.get("/audit/")["Location"].startswith("/sign-in/")


def test_the_log_takes_no_post(admin):
    assert admin.post("/audit/").status_code == 405
