"""What breaks tells nobody the secrets that were at hand: neither page, problem, log nor trace."""

from __future__ import annotations

import logging

import pytest
from django.conf import settings as django_settings

from apps.accounts import services

memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
LOCAL, TYPED, BEARER = "sk-local-0123456789", "typed-password-0123", "kos_bearer-0123456789"


def fail(*args, **kwargs):
    key = LOCAL
    raise RuntimeError(f"broke with {len(key)} letters at hand")


@pytest.fixture
def log(caplog):
    """Everything that is logged, with the traceback as the console's handler writes it."""
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join(
        logging.Formatter("%(levelname)s %(name)s %(message)s").format(one)
        for one in caplog.records
    )


@pytest.fixture
def spans():
    from kosweb import tracing

    exporter = memory.InMemorySpanExporter()
    tracing.follow(exporter, is_batched=False)
    yield lambda: "".join(span.to_json() for span in exporter.get_finished_spans())
    tracing.stop()


@pytest.fixture
def secrets(engineer) -> list[str]:
    return [
        LOCAL,
        TYPED,
        BEARER,
        django_settings.SECRET_KEY,
        engineer.session.session_key,
        engineer.user.password,
    ]


def check(secrets: list[str], *texts: str) -> None:
    for text in texts:
        assert not [one for one in secrets if one in text]


def test_a_page_that_breaks(engineer, monkeypatch, log, spans, secrets):
    monkeypatch.setattr("apps.accounts.authenticator.prove", fail)
    engineer.raise_request_exception = False
    told = {"what": "begin", "password": TYPED}
    answer = engineer.post("/settings/second-factor/", told)
    assert answer.status_code == 500
    assert "RuntimeError: broke" in log()
    check(secrets, answer.content.decode(), log(), spans())


def test_a_call_that_breaks(engineer, monkeypatch, log, spans, secrets):
    _token, text = services.create_token(engineer.user, "t")
    monkeypatch.setattr("apps.automation.api.account._me", fail, raising=False)
    monkeypatch.setattr("apps.accounts.services.note_use", fail)
    engineer.raise_request_exception = False
    headers = {"Authorization": f"Bearer {text}", "X-Api-Key": BEARER}
    answer = engineer.get("/api/me/", headers=headers)
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "RuntimeError: broke" in log()
    check([*secrets, text], answer.content.decode(), log(), spans())


def test_a_sign_in_that_breaks(client, engineer, monkeypatch, log, spans, secrets):
    monkeypatch.setattr("apps.accounts.brakes.clear", fail)
    client.raise_request_exception = False
    told = {"username": engineer.user.username, "password": "correct horse battery"}
    answer = client.post("/sign-in/", told)
    assert answer.status_code == 500
    check([*secrets, told["password"]], answer.content.decode(), log(), spans())


def test_an_address_with_a_secret_in_it_is_in_no_trace(client, db, spans):
    client.get(f"/sign-in/provider/back/?code={BEARER}&state={TYPED}")
    client.get(f"/welcome/{TYPED}/{BEARER}/")
    check([BEARER, TYPED], spans())
