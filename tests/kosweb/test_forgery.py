"""No form is taken from another page: every unsafe route of the URL map asks for its token."""

from __future__ import annotations

from django.test import Client

from tests.calls import calls
from tests.factories import make_user
from tests.kosweb.permissions import PAGES
from tests.routes import pages


def browser_of(role: str = "admin") -> Client:
    """Somebody's browser, sent by a page elsewhere: the cookies go along and no token does."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user(role=role))
    return browser


def is_refused(answer) -> bool:
    return answer.status_code == 403 and b"Nothing was sent" in answer.content


def test_no_page_takes_a_form_without_its_token(db):
    browser = browser_of()
    taken = [
        page.name
        for page in pages()
        if "POST" in PAGES[page.name][1] and not is_refused(browser.post(page.path))
    ]
    assert not taken


def test_a_token_of_another_browser_is_none(db):
    browser, other = browser_of(), browser_of("engineer")
    other.get("/settings/")
    token = other.cookies["csrftoken"].value
    browser.get("/settings/")
    answer = browser.post("/sign-out/", {"csrfmiddlewaretoken": token})
    assert is_refused(answer)


def test_the_right_token_from_another_site_is_refused(db):
    browser = browser_of()
    browser.get("/settings/", secure=True)
    token = browser.cookies["csrftoken"].value
    for header in ({"Referer": "https://evil.example/"}, {"Origin": "https://evil.example"}):
        told = {"csrfmiddlewaretoken": token}
        assert is_refused(browser.post("/sign-out/", told, secure=True, headers=header))


def test_no_call_takes_a_session_without_the_token(db):
    browser = browser_of()
    unsafe = [one for one in calls({"grade_pk": 1}) if one.method not in ("get", "head")]
    taken = [one.name for one in unsafe if one.send(browser).status_code != 403]
    assert len(unsafe) > 50
    assert not taken


def test_a_call_says_what_it_lacks_as_a_problem(db):
    answer = browser_of().post("/api/chat/", "{}", "application/json")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_djangos_own_pages_ask_for_it_too(db):
    assert browser_of().post("/admin/accounts/user/add/").status_code == 403
