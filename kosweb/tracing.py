"""OpenTelemetry traces of Kos itself, where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says where they go.

Off, this costs one comparison a request and loads nothing. On, there are spans for requests,
statements of the database, tasks of workers and calls to other servers. They carry routes, run
numbers, kinds, tables, hosts and statuses: never an address with what was asked in it, never
a prompt, an answer, a parameter or a token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections
from django.db.backends.signals import connection_created
from django.http import HttpRequest

from kos.errors import UserError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_tracer: Any = None
# What a statement does and to which table; the rest of it stays here.
WRITING = re.compile(r'\s*(insert|update|delete)\b(?: into| from)?\s+"?([a-z_]+)', re.IGNORECASE)
READING = re.compile(r'\s*(select|with)\b.*?\bfrom\s+"?([a-z_]+)', re.IGNORECASE | re.DOTALL)


def start() -> None:
    """Trace this process if the settings say where to."""
    if not settings.TRACES_ENDPOINT or _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise UserError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
            "pip install 'kos[telemetry]', or unset it."
        ) from error
    follow(OTLPSpanExporter())


def follow(exporter: SpanExporter, *, is_batched: bool = True) -> TracerProvider:
    """Trace this process to ``exporter``."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    global _tracer
    provider = TracerProvider(
        resource=Resource.create({"service.name": "kos", "service.version": settings.REVISION})
    )
    processor = BatchSpanProcessor if is_batched else SimpleSpanProcessor
    provider.add_span_processor(processor(exporter))
    _tracer = provider.get_tracer("kos")
    _follow_database()
    _follow_tasks(provider)
    _follow_calls(provider)
    return provider


def stop() -> None:
    """Trace no more; for tests."""
    global _tracer
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    _tracer = None
    connection_created.disconnect(dispatch_uid="kos.tracing")
    for connection in connections.all(initialized_only=True):
        if _statement in connection.execute_wrappers:
            connection.execute_wrappers.remove(_statement)
    HTTPXClientInstrumentor().uninstrument()
    CeleryInstrumentor().uninstrument()  # type: ignore[no-untyped-call]


@contextmanager
def request_span(request: HttpRequest) -> Iterator[Any]:
    """The span of a request; None while nothing is traced."""
    if _tracer is None:
        yield None
        return
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    with _tracer.start_as_current_span(
        request.method or "HTTP",
        context=extract(request.headers),
        kind=SpanKind.SERVER,
        record_exception=False,
    ) as span:
        yield span


def end_request(
    span: Any, method: str, route: str, status: int, *, number: int | None = None
) -> None:
    """What became of the request; ``number`` is the run it was about."""
    if span is None:
        return
    span.update_name(f"{method} {route}")
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if number is not None:
        span.set_attribute("kos.run.id", number)
    if status >= 500:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR))


def note_run(run_id: int, kind: str = "") -> None:
    """Say which run the current span is about."""
    if _tracer is None:
        return
    from opentelemetry.trace import get_current_span

    span = get_current_span()
    span.set_attribute("kos.run.id", run_id)
    if kind:
        span.set_attribute("kos.run.kind", kind)


def _follow_database() -> None:
    """Every statement through Django, on connections that stand and that come."""
    connection_created.connect(_wrap, dispatch_uid="kos.tracing")
    for connection in connections.all(initialized_only=True):
        _wrap(connection=connection)


def _wrap(*, connection: Any, **signal: Any) -> None:
    if _statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_statement)


def _statement(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    if _tracer is None:
        return execute(sql, params, many, context)
    from opentelemetry.trace import SpanKind

    summary = summary_of(str(sql))
    with _tracer.start_as_current_span(
        summary, kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
    ) as span:
        span.set_attribute("db.system.name", "postgresql")
        span.set_attribute("db.query.summary", summary)
        return execute(sql, params, many, context)


def summary_of(sql: str) -> str:
    """``SELECT runs_run``: what a statement does and to what, without a value of it."""
    found = WRITING.match(sql) or READING.match(sql)
    if found is None:
        return sql.split(None, 1)[0].upper()[:20] if sql.strip() else "statement"
    return f"{found[1].upper()} {found[2]}"


def _follow_tasks(provider: TracerProvider) -> None:
    from celery.signals import task_prerun
    from opentelemetry.instrumentation.celery import CeleryInstrumentor

    CeleryInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]
    # After the line above: Celery tells its listeners in order, and the span must stand.
    task_prerun.connect(_name_run, weak=False, dispatch_uid="kos.tracing")


def _name_run(*, args: Any = (), **signal: Any) -> None:
    from apps.runs.models import Run

    if _tracer is not None and args and isinstance(args[0], int):
        kind = Run.objects.filter(pk=args[0]).values_list("kind", flat=True).first()
        note_run(args[0], kind or "")


def _follow_calls(provider: TracerProvider) -> None:
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    HTTPXClientInstrumentor().instrument(
        tracer_provider=provider,
        request_hook=_hide_address,
        async_request_hook=_hide_address_async,
    )


def _hide_address(span: Any, request: Any) -> None:
    """A host is enough: a path or query may hold what a model looked for, or a key."""
    if span is None or not span.is_recording():
        return
    parts = request.url
    address = f"{parts.scheme}://{parts.host}/"
    for name in ("url.full", "http.url"):
        if name in (span.attributes or {}):
            span.set_attribute(name, address)


async def _hide_address_async(span: Any, request: Any) -> None:
    _hide_address(span, request)
