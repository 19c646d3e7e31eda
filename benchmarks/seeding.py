"""Rows by the hundred thousand: one row is made as the product makes it, and copied in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, models

WORDS = (
    "fever", "cough", "rash", "dose", "kidney", "insulin", "warfarin", "asthma", "stroke", "child",
    "pregnant", "pain", "headache", "statin", "sepsis", "allergy", "wound", "fracture", "thyroid",
    "migraine", "anaemia", "vaccine", "tablet", "syrup", "nausea", "heart", "liver", "sleep",
)  # fmt: skip


def copies(row: models.Model, count: int, **varied: str) -> None:
    """``count`` rows like ``row``; ``varied`` has SQL for its columns, ``n`` counting from 1."""
    table = row._meta.db_table
    columns = [
        field.column
        for field in row._meta.concrete_fields
        if not field.generated and field.column not in (None, "id")
    ]
    chosen = ", ".join(varied.get(column, f't."{column}"') for column in columns)
    chosen = chosen.replace("%", "%%")  # SQL's own, beside the two places for values
    names = ", ".join(f'"{column}"' for column in columns)
    sql = (
        f'insert into "{table}" ({names}) select {chosen} from "{table}" t, '
        "generate_series(1, %s) n where t.id = %s"
    )
    with connection.cursor() as cursor, in_bulk(cursor, table, count):
        cursor.execute(sql, [count, row.pk])


@contextmanager
def in_bulk(cursor: Any, table: str, count: int) -> Iterator[None]:
    """Inside, many rows go in without indexes and foreign keys' checks; the indexes come after.

    A word index that grows by single rows takes most of the time otherwise.
    """
    if count < MANY:
        yield
        return
    cursor.execute(INDEXES, [table])
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"drop index {name}")
    cursor.execute("set session_replication_role = replica")
    yield
    cursor.execute("set session_replication_role = default")
    cursor.execute("set maintenance_work_mem = '256MB'")
    for _, definition in indexes:
        cursor.execute(definition)


MANY = 50_000
# Those that no constraint stands on.
INDEXES = """
select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index
where indrelid = %s::regclass and not indisprimary
    and not exists (select from pg_constraint where conindid = indexrelid)
"""


def said(words: int) -> str:
    """SQL for a sentence of ``words`` words that differs from row to row."""
    known = ", ".join(f"'{word}'" for word in WORDS)
    parts = (
        f"(array[{known}])[1 + (n * {step} + {step}) % {len(WORDS)}]" for step in STEPS[:words]
    )
    return " || ' ' || ".join(parts)


STEPS = (1, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)


def fill(*, runs: int, traces: int, steps: int) -> dict[str, Any]:
    """A busy team's console; returns the ids that pages are asked for."""
    from apps.accounts.models import Role
    from apps.accounts.services import create_token, make_user
    from apps.runs.models import Artifact, Event, Run
    from apps.traces.models import Grade, Trace
    from kos.config import Train
    from tests import factories

    ada = make_user("ada", "correct horse battery", Role.ADMIN)
    config = Train().model_dump(mode="json")
    run = factories.make_run("train", owner=ada, config=config, status="done", last_seq=steps)
    ago = "now() - n * interval '7 minutes'"
    statuses = "(array['done', 'done', 'done', 'failed', 'cancelled'])[1 + n % 5]"
    kinds = "(array['train', 'evaluate', 'merge', 'export', 'sft'])[1 + n % 5]"
    named = {"name": f"'Run ' || n || ' ' || {said(2)}", "created": ago, "started": ago}
    tags = f"array[{said(1)}, 'team-' || n % 9]::varchar[]"
    copies(run, runs, kind=kinds, status=statuses, tags=tags, ended=ago, **named)
    spread = f"{run.pk} + n % {runs}"

    event = Event.objects.create(
        run=run, seq=1, attempt=1, kind="step", at=run.created, data={"step": 1, "metrics": {}}
    )
    metrics = "json_build_object('step', n + 1, 'metrics', json_build_object("
    metrics += ", ".join(f"'{name}', sin(n / 40.0) + random()" for name in NAMES) + "))::jsonb"
    copies(event, steps - 1, seq="n + 1", data=metrics)
    _numbers(run.pk, steps)
    note = Event(run=run, seq=0, attempt=1, kind="note", at=run.created, data={"text": "Sampled."})
    note.save()
    copies(note, 20 * runs, run_id=spread, seq="1000000 + n")

    artifact = factories.make_artifact("adapter", run=run, size_bytes=2**20)
    kinds = "(array['adapter', 'merged', 'quantised', 'report', 'base'])[1 + n % 5]"
    summary = "'{}'::jsonb"
    copies(artifact, runs, run_id=spread, path="'bench/' || n", kind=kinds, summary=summary)

    trace = factories.make_trace(run=run, step=1)
    copies(
        trace,
        traces,
        run_id=spread,
        step="n / 1000",
        example_id="'example-' || n % 500",
        sample="n",
        question=said(9),
        answer=said(15),
        score="(n % 100) / 100.0",
        flags="case when n % 50 = 0 then '[\"think_leak\"]'::jsonb else '[]'::jsonb end",
        origin="(array['rollout', 'evaluation', 'chat', 'api'])[1 + n % 4]",
        created="now() - n * interval '20 seconds'",
    )
    grade = Grade.objects.create(
        trace=trace, position=0, key="item", text="Says so.", points=5, met=True, grader="check"
    )
    copies(grade, 4 * traces, trace_id=f"{trace.pk} + n / 4", position="n % 4", met="n % 3 = 0")
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze")
    token = create_token(ada, "bench").text
    assert Run.objects.count() > runs
    assert Artifact.objects.count() > runs
    assert Trace.objects.count() > traces
    return {"run": run.pk, "trace": trace.pk, "artifact": artifact.pk, "token": token}


NAMES = ("reward/mean", "reward/rubric", "length/output", "loss", "entropy", "kl/v2", "grad_norm")


def _numbers(run_id: int, steps: int) -> None:
    names = ", ".join(f"'{name}'" for name in NAMES)
    sql = (
        "insert into runs_metric (run_id, name, step, value, at) "
        "select %s, name, n, sin(n / 40.0) + random(), now() "
        f"from generate_series(1, %s) n, unnest(array[{names}]) name"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [run_id, steps])
