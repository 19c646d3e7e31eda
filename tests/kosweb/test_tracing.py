from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import httpx
import pytest

from kosweb import tracing
from tests.factories import make_run

memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")


@pytest.fixture
def spans():
    exporter = memory.InMemorySpanExporter()
    tracing.follow(exporter, is_batched=False)
    yield exporter.get_finished_spans
    tracing.stop()


def everything(spans) -> str:
    return "".join(span.to_json() for span in spans())


def named(spans, name: str):
    return next(span for span in spans() if span.name == name)


def test_a_request_is_a_span_of_its_route_with_the_run_it_is_about(spans, engineer):
    run = make_run()
    engineer.get(f"/runs/{run.pk}/")
    span = named(spans, "GET /runs/<int:pk>/")
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["kos.run.id"] == run.pk


def test_statements_are_spans_below_the_request(spans, engineer):
    engineer.get("/runs/")
    request = named(spans, "GET /runs/")
    statement = named(spans, "SELECT accounts_user")
    assert statement.context.trace_id == request.context.trace_id


def test_what_was_asked_is_in_no_span(spans, engineer):
    engineer.get("/search/?q=confidentialwords")
    engineer.get("/chat/new/?text=confidentialwords")
    assert "confidentialwords" not in everything(spans)


def test_a_caller_who_traces_too_goes_on_in_the_same_trace(spans, engineer):
    trace = "0af7651916cd43dd8448eb211c80319c"
    engineer.get("/runs/", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert f"{named(spans, 'GET /runs/').context.trace_id:032x}" == trace


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *parts) -> None:
        """Stay silent."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_a_call_to_another_server_shows_its_host_alone(spans, server):
    headers = {"Authorization": "Bearer kos_secret"}
    httpx.get(f"{server}/find/gout?api_key=hidden", headers=headers)
    told = everything(spans)
    assert "http://127.0.0.1/" in told
    assert not [word for word in ("gout", "hidden", "kos_secret") if word in told]


def test_a_task_is_a_span_with_its_run_and_kind(spans, db):
    run = make_run("train")
    with tracing._tracer.start_as_current_span("task"):
        tracing._name_run(args=(run.pk,), sender=SimpleNamespace())
    attributes = named(spans, "task").attributes
    assert (attributes["kos.run.id"], attributes["kos.run.kind"]) == (run.pk, "train")


@pytest.mark.parametrize(
    ("sql", "summary"),
    [
        ('SELECT "runs_run"."id" FROM "runs_run" WHERE x = 1', "SELECT runs_run"),
        ('INSERT INTO "chat_chatmessage" ("content") VALUES (%s)', "INSERT chat_chatmessage"),
        ('UPDATE "runs_run" SET "name" = %s', "UPDATE runs_run"),
        ("select set_config('statement_timeout', %s, true)", "SELECT"),
        ("SELECT pg_notify(%s, %s)", "SELECT"),
        ("SELECT 'a secret' AS x", "SELECT"),
        ("SAVEPOINT x1", "SAVEPOINT"),
        ('DELETE FROM "runs_event" WHERE 1', "DELETE runs_event"),
    ],
)
def test_a_statement_is_named_by_verb_and_table(sql, summary):
    assert tracing.summary_of(sql) == summary


def test_off_nothing_is_loaded():
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "import django; django.setup(); import kosweb.asgi\n"
        "ours = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'opentelemetry.instrumentation')\n"
        "found = [name for name in sys.modules if name.startswith(ours)]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
