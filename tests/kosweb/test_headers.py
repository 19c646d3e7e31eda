"""What every reply carries, whatever became of the request."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import quote

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from apps.accounts.brakes import of_address, take
from tests.factories import make_artifact

POLICY = "default-src 'none'"


def broken(engineer, monkeypatch):
    def fail(user):
        raise RuntimeError

    monkeypatch.setattr("kosweb.home.stamp_of", fail)
    engineer.raise_request_exception = False
    return engineer.get("/")


def held(engineer, monkeypatch):
    while take(of_address("127.0.0.1")) is None:
        pass
    return Client().post("/sign-in/", {"username": "a", "password": "b"})


REPLIES = {
    "200 page": lambda engineer, patch: engineer.get("/"),
    "200 json": lambda engineer, patch: engineer.get("/api/me/"),
    "200 health": lambda engineer, patch: engineer.get("/healthz"),
    "200 docs": lambda engineer, patch: engineer.get("/api/docs"),
    "301": lambda engineer, patch: engineer.get("/favicon.ico"),
    "302": lambda engineer, patch: Client().get("/"),
    "301 slash": lambda engineer, patch: engineer.get("/runs"),
    "400 host": lambda engineer, patch: engineer.get("/", headers={"Host": "evil.example"}),
    "400 form": lambda engineer, patch: engineer.post(
        "/settings/", {"what": "name", "email": "x"}
    ),
    "400 malformed": lambda engineer, patch: engineer.post("/api/runs/", "{", "application/json"),
    "401": lambda engineer, patch: Client().get("/api/me/"),
    "403": lambda engineer, patch: engineer.get("/members/"),
    "403 forged": lambda engineer, patch: Client(enforce_csrf_checks=True).post("/sign-in/"),
    "404": lambda engineer, patch: engineer.get("/nothing/"),
    "404 call": lambda engineer, patch: engineer.get("/api/nothing/"),
    "405": lambda engineer, patch: engineer.put("/settings/"),
    "405 call": lambda engineer, patch: engineer.put("/api/me/"),
    "413": lambda engineer, patch: engineer.post(
        "/api/runs/", b" " * 3_000_000, "application/json"
    ),
    "422": lambda engineer, patch: engineer.get("/api/runs/?unknown=1"),
    "429": held,
    "500": broken,
    "500 call": lambda engineer, patch: broken_call(engineer, patch),
}


def broken_call(engineer, monkeypatch):
    def fail(*args):
        raise RuntimeError

    monkeypatch.setattr("apps.accounts.services.token_of", fail)
    monkeypatch.setattr("apps.accounts.services.admit_token", fail)
    engineer.raise_request_exception = False
    return engineer.get("/api/me/", headers={"Authorization": "Bearer kos_x"})


@pytest.mark.parametrize("kind", REPLIES)
def test_every_kind_of_reply_has_the_policy(kind, engineer, monkeypatch):
    answer = REPLIES[kind](engineer, monkeypatch)
    assert answer.status_code == int(kind.split()[0])
    policy = answer.headers["Content-Security-Policy"]
    assert POLICY in policy
    assert "unsafe" not in policy
    told = {name: answer.headers.get(name) for name in ("X-Content-Type-Options", "X-Request-ID")}
    assert told["X-Content-Type-Options"] == "nosniff"
    assert told["X-Request-ID"]
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_static_file_is_not_sniffed(client, db):
    answer = client.get("/static/kos.css")
    answer.close()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


HOSTILE = [
    "a.svg",
    "a.html",
    "a.xhtml",
    "a.js",
    "a\r\nSet-Cookie: kos=1\r\n\r\n<b>.svg",
    'a";x="b.svg',
]


@pytest.fixture
def folder(db):
    artifact = make_artifact("report")
    artifact.location.mkdir(parents=True)
    for name in HOSTILE:
        (artifact.location / name).write_text("<svg onload='alert(1)' xmlns='…'/>")
    return SimpleNamespace(pk=artifact.pk)


@pytest.mark.parametrize("name", [name for name in HOSTILE if name.isprintable()])
def test_a_file_of_a_model_is_never_shown_in_the_browser(engineer, folder, name):
    answer = engineer.get(f"/models/{folder.pk}/files/{quote(name)}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    assert not {"\r", "\n"} & set("".join(answer.headers.values()))


def test_a_file_whose_name_holds_a_header_is_nowhere(engineer, folder):
    page = engineer.get(f"/models/{folder.pk}/")
    hashes = engineer.get(f"/models/{folder.pk}/hashes/")
    assert (page.status_code, hashes.status_code) == (200, 200)
    assert b"Set-Cookie" not in page.content + async_to_sync(_read)(hashes)


async def _read(answer) -> bytes:
    return b"".join([piece async for piece in answer])
