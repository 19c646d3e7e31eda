"""Every page's address and every form on it, filled with what nobody would type.

Never a fault, never text of a stranger as markup. ``KOS_HOSTILE=20`` hunts for longer,
``KOS_HOSTILE_ONLY=/chat/`` in one place.
"""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import lxml.html
import pytest
from django.db import connection, transaction
from django.test import Client

from apps.accounts.models import Role
from apps.datasets.models import Work
from kosweb import walk
from tests.conftest import Persona
from tests.factories import make_user
from tests.rest import filled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume"),
]
ROUNDS = int(os.environ.get("KOS_HOSTILE", "1"))
ONLY = os.environ.get("KOS_HOSTILE_ONLY", "/")
MARKUP = "<script>kos()</script>"
TEXTS = (
    *("", " ", "0", "-1", "1", "9" * 5000, "1e999", "NaN", "-0.0", "²", "٣", "½", "true", "[]"),
    *("{", '{"a": ' * 3000, "null", "2024-99-99", "..", "../../etc/passwd", "/etc/passwd", "a\\b"),
    *(
        "%00",
        "%s%n",
        "a\0b",
        "\r\nSet-Cookie: a=b",
        "\x1b[2J\x07",
        "\u200e\u202eabc\u2066",
        "\ufeff",
    ),
    *(
        "\ufffe\uffff",
        "e\u0301" * 50,
        "👩\u200d⚕️🏽",
        "漢字かな交じり",
        "الجرعة ٥ ملغ",
        "दवा",
        "שלום",
        "ไทย",
    ),
    *(
        "𝔘𝔫𝔦\U0010ffff",
        "\u2028\u2029\x85",
        "a" * 30_000,
        "\n" * 9000,
        MARKUP,
        "{{ 7*7 }}{% load x %}",
    ),
    *("' OR 1=1 --", '"><img src=x onerror=kos()>', "javascript:kos()", "(a+)+$", "[", "*", "\\"),
    *("<|im_end|>", "</think>", "a:b", "-" * 200, ",".join("1234567890"), "created:desc"),
)
# Names that some page reads from its address without showing a field for it.
NAMES = (
    *(
        "q",
        "page",
        "cursor",
        "kind",
        "sort",
        "shown",
        "step",
        "model",
        "sample",
        "mode",
        "a",
        "b",
        "by",
    ),
    *(
        "after",
        "runs",
        "run",
        "labels",
        "example",
        "item",
        "old",
        "new",
        "against",
        "as",
        "fragment",
    ),
    *(
        "tab",
        "level",
        "format",
        "clone",
        "preset",
        "id",
        "undo",
        "tokens",
        "days",
        "next",
        "split",
    ),
    *(
        "dataset",
        "deployment",
        "columns",
        "tag",
        "owner",
        "status",
        "since",
        "until",
        "origin",
        "input",
    ),
)
# They would ask a server that is not there, or end the session that the test looks with.
LEFT_ALONE = ("/sign-out/", "/probe/", "/judges/try/", "/tools/mcp/", "/deployments/remote/")


class Form(NamedTuple):
    """A form of a page: where it goes, how, and what its fields hold."""

    action: str
    method: str
    fields: tuple[tuple[str, str], ...]


@pytest.fixture
def root(db, settings, monkeypatch) -> Persona:
    settings.KOS_OFFLINE = True
    browser = Persona(make_user("root", Role.ADMIN))
    filled(browser.user)
    # It has no result, which work that is done always has.
    Work.objects.all().delete()
    # A server's connection ends with its request, or its stream; the test's one must not.
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)
    return browser


def test_no_page_breaks_over_its_address(root):
    chance = random.Random(1)
    faults = []
    for page in walk.addresses(root.user):
        path = urlsplit(page.path).path
        for _ in range(ROUNDS if path.startswith(ONLY) else 0):
            query = {name: _values(chance) for name in chance.sample(NAMES, 8)}
            faults += _faults(root, "get", path, query)
    assert not faults, "\n".join(faults)


def test_no_form_breaks_over_what_is_typed(root):
    chance = random.Random(2)
    forms = {form for page in walk.pages(root.user) for form in _forms(root, page.path)}
    assert len({(form.action, form.method) for form in forms}) > 60 or ONLY != "/"
    faults = []
    for form in sorted(forms):
        for number in range(ROUNDS):
            told = _typed(form, chance, share=0.6 if number % 2 else 0.15)
            faults += _faults(root, form.method, form.action, told)
    assert not faults, "\n".join(faults)


def _forms(browser: Client, path: str) -> Iterator[Form]:
    page = lxml.html.fromstring(browser.get(path).content.decode())
    for form in page.iter("form"):
        action = urlsplit(form.get("action") or path).path
        method = (form.get("method") or "get").lower()
        is_left = method == "dialog" or any(one in action for one in LEFT_ALONE)
        if action.startswith(ONLY) and not is_left:
            fields = tuple(sorted({(name, str(value)) for name, value in _fields(form)}))
            yield Form(action, method, fields)


def _fields(form: Any) -> Iterator[tuple[str, str]]:
    for one in form.xpath(".//input[@name]|.//select[@name]|.//textarea[@name]|.//button[@name]"):
        chosen = one.xpath(".//option/@value")
        value = one.get("value") or (chosen[-1] if chosen else one.text or "")
        if one.get("type") != "file" and one.get("name") != "csrfmiddlewaretoken":
            yield one.get("name"), value


def _typed(form: Form, chance: random.Random, *, share: float) -> dict[str, Any]:
    """Most fields as they stood, some with another text, some twice, some left out."""
    typed: dict[str, Any] = {}
    for name, value in form.fields:
        if chance.random() > 0.05:
            typed[name] = _values(chance) if chance.random() < share else value
    return typed


def _values(chance: random.Random) -> str | list[str]:
    several = chance.random() < 0.1
    return [chance.choice(TEXTS) for _ in range(3)] if several else chance.choice(TEXTS)


def _faults(browser: Client, method: str, path: str, told: dict[str, Any]) -> Iterator[str]:
    """Ask, take back what it did, and say what is wrong with what came."""
    try:
        with transaction.atomic():
            answer = getattr(browser, method)(path, told, follow=True)
            transaction.set_rollback(True)
    except Exception as error:  # noqa: BLE001 (all are told of at once)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{type(error).__name__}: {str(error)[:200]!r} at {frame.filename}:{frame.lineno}"
        yield f"{method} {path} {_short(told)}: {at}"
        return
    # 503: a service that is not there.
    if answer.status_code >= 500 and answer.status_code != 503:
        yield f"{method} {path} {_short(told)}: {answer.status_code}"
    is_page = "text/html" in answer.headers.get("Content-Type", "") and not answer.streaming
    if is_page and MARKUP in answer.content.decode():
        yield f"{method} {path} {_short(told)}: markup of a stranger"


def _short(told: dict[str, Any]) -> dict[str, str]:
    return {name: repr(value)[:60] for name, value in told.items() if value}
