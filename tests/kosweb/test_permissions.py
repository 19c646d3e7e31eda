"""Every page, call and socket with every role and method, against ``permissions.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.accounts import sessions
from apps.accounts.models import User
from kosweb.asgi import sockets
from tests.calls import Call, calls
from tests.factories import make_conversation, make_run, make_user
from tests.kosweb.permissions import (
    ABSENT,
    CALLS,
    MOUNTED,
    OWNED,
    OWNED_PAGES,
    PAGES,
    SOCKETS,
    STREAMS,
    WHO,
)
from tests.rest import filled
from tests.routes import METHODS, Page, pages
from tests.sockets import Socket

ROLES = ("stranger", "clinician", "reviewer", "engineer", "admin")
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")


@pytest.fixture(params=ROLES)
def role(request) -> str:
    return str(request.param)


@pytest.fixture
def browser(role, request) -> Client:
    return request.getfixturevalue(role)


def verdict(answer: Any) -> str:
    """What came of a request, as far as rights go."""
    if answer.status_code == 401 or answer.headers.get("Location", "").startswith("/sign-in/?"):
        return "sign in"
    return {403: "refused", 405: "no such method"}.get(answer.status_code, "in")


def wanted(role: str, who: str, method: str, methods: str) -> str:
    """What should come of it: who it is counts before what is asked."""
    if role not in WHO[who]:
        return "sign in" if role == "stranger" else "refused"
    return "in" if method in methods.split() else "no such method"


def ask(browser: Client, method: str, path: str) -> Any:
    """The answer; what it changed is taken back."""
    with transaction.atomic():
        answer = browser.generic(method, path)
        transaction.set_rollback(True)
    return answer


def tried(methods: str) -> list[str]:
    """The methods of a row, and the first that is none of its."""
    known = methods.split()
    return [*known, next(method for method in METHODS if method not in known)]


def test_every_page_has_a_row(db):
    assert {page.name for page in pages()} == {*PAGES}


def test_every_call_has_a_row(admin):
    assert {call.name for call in calls({})} == {*CALLS}


def test_every_socket_has_a_row():
    assert {str(one.pattern) for one in sockets.routes} == {*SOCKETS}


def test_every_page_lets_in_whom_its_row_says(role, browser):
    wrong = [one for page in pages() for one in _wrong_page(browser, role, page)]
    assert not wrong, "\n".join(wrong)


def _wrong_page(browser: Client, role: str, page: Page) -> Iterator[str]:
    who, methods = PAGES[page.name]
    for method in tried(methods):
        if page.name == "accounts:sign_out" and method == "POST":
            continue  # tests/apps/accounts/test_views.py: it would end this walk
        found, right = verdict(ask(browser, method, page.path)), wanted(role, who, method, methods)
        if found != right:
            yield f"{method} {page.name}: {found}, not {right}"


def test_every_call_lets_in_whom_its_row_says(role, browser, settings):
    settings.API_TOKEN_RATE = settings.API_USER_RATE = 0
    ids = filled(make_user("root", "admin"))
    wrong = [one for call in calls(ids) for one in _wrong_call(browser, role, call)]
    assert not wrong, "\n".join(wrong)


def _wrong_call(browser: Client, role: str, call: Call) -> Iterator[str]:
    if call.name in STREAMS and role in WHO[CALLS[call.name]]:
        return  # it ends when what it tells of does
    with transaction.atomic():
        answer = call.send(browser)
        transaction.set_rollback(True)
    right = wanted(role, CALLS[call.name], call.method, call.method)
    if answer.status_code == 422:
        yield f"{call.name}: the least body is not taken, so nothing is said of rights"
    elif verdict(answer) != right:
        yield f"{call.name}: {answer.status_code}, not {right}"
    elif right == "in" and _is_sure(call) and _is_told(answer) == _is_hidden(role, call.name):
        yield f"{call.name}: {answer.status_code} for what is another's"


def _is_told(answer: Any) -> bool:
    """Whether the answer says that something is there."""
    return bool(answer.status_code != 404)


def _is_sure(call: Call) -> bool:
    """Whether the path alone says what is asked for: numbers in a query or body are nobody's."""
    return call.name in OWNED or not (call.query or call.body)


def _is_hidden(role: str, name: str) -> bool:
    """Whether this role is told that there is nothing."""
    return name in ABSENT or (name in OWNED and role not in WHO[OWNED[name]])


@pytest.fixture
def owned(db) -> dict[str, str]:
    """The address of somebody's own thing, by the name of its page."""
    root = make_user("root", "admin")
    theirs = Client(SERVER_NAME="127.0.0.1")
    theirs.force_login(root)
    [session] = sessions.of(root, current=None)
    ids = filled(root) | {"session": session.name, "source": "s1"}
    return {
        name: reverse(name, args=[ids[key] for key in keys])
        for name, (_who, keys) in OWNED_PAGES.items()
    }


def test_no_page_shows_what_is_anothers(role, browser, owned):
    wrong = [
        f"{method} {name}: {status}, not {right}"
        for name, path in owned.items()
        for method in PAGES[name][1].split()
        if (status := ask(browser, method, path).status_code == 404)
        != (right := role in WHO[PAGES[name][0]] and role not in WHO[OWNED_PAGES[name][0]])
    ]
    assert not wrong, "\n".join(wrong)


def test_its_owner_gets_each_of_those_pages(owned):
    browser = Client()
    browser.force_login(User.objects.get(username="root"))
    # What stops an answer reaches for the process that gives it.
    apart = {"chat:delete", "chat:stop", "chat:pair_stop", "chat:source"}
    missing = [
        name
        for name, path in owned.items()
        for method in PAGES[name][1].split()
        if name not in apart and ask(browser, method, path).status_code == 404
    ]
    assert not missing


@pytest.mark.parametrize("path", MOUNTED)
def test_what_is_not_ours_lets_in_whom_its_row_says(path, role, browser):
    who, methods = MOUNTED[path]
    for method in methods.split():
        assert verdict(ask(browser, method, path)) == wanted(role, who, method, methods), method


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", [name for name in ROLES if name != "stranger"])
@pytest.mark.parametrize("path", SOCKETS)
async def test_every_socket_lets_in_whom_its_row_says(path, role):
    user, pk = await sync_to_async(_others)(role, path)
    route = next(one for one in sockets.routes if str(one.pattern) == path)
    socket = await Socket.open(route.callback, path.replace("<int:pk>", str(pk)), user=user, pk=pk)
    if role in WHO[SOCKETS[path]]:
        await socket.disconnect()
    else:
        assert 4400 <= await socket.close_code() < 4500


def _others(role: str, path: str) -> tuple[User, int]:
    """Somebody of this role, and the number of what is another's."""
    row = make_conversation() if "chat" in path else make_run()
    return make_user(role, role), row.pk


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", SOCKETS)
async def test_no_socket_answers_a_stranger(path):
    route = next(one for one in sockets.routes if str(one.pattern) == path)
    socket = await Socket.open(route.callback, path.replace("<int:pk>", "1"), user=None, pk=1)
    assert await socket.close_code() == 4401
