"""A long list of traces, newest first, a stretch at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.traces import paging
from apps.traces.models import Trace
from tests.factories import make_run, make_trace


@pytest.fixture
def traces(db, monkeypatch):
    monkeypatch.setattr(paging, "PAGE_SIZE", 2)
    run = make_run("train")
    return [make_trace(run=run, flags=["empty"] if number < 3 else []) for number in range(8)]


def walk(found, **kwargs) -> list[int]:
    seen, cursor = [], ""
    while cursor is not None:
        stretch = paging.page(found, cursor, **kwargs)
        seen += [trace.pk for trace in stretch.rows]
        cursor = stretch.older if stretch.older is None else str(stretch.older)
    return seen


def test_stretches_follow_each_other_without_a_gap(traces):
    assert walk(Trace.objects.rows()) == [trace.pk for trace in reversed(traces)]


@pytest.mark.parametrize("window", [1, 3, 5, 100])
def test_what_lies_beyond_the_nearest_rows_is_found_too(traces, monkeypatch, window):
    monkeypatch.setattr(paging, "WINDOW", window)
    found = Trace.objects.rows().filter(flags__contains=["empty"])
    assert walk(found, is_unordered=True) == [trace.pk for trace in reversed(traces[:3])]


def test_a_list_is_never_counted(engineer, traces, django_assert_num_queries):
    with django_assert_num_queries(1) as asked:
        paging.page(Trace.objects.rows(), "")
    assert "COUNT(" not in asked.captured_queries[0]["sql"]


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 30])
def test_a_wrong_cursor_begins_at_the_newest(traces, cursor):
    assert paging.page(Trace.objects.rows(), cursor).is_first or cursor == "9" * 30


@pytest.mark.parametrize(
    ("days", "num"), [((0, 0), 1), ((2, 1), 2), ((None, 1), 7), ((3, None), 4), ((99, 98), 0)]
)
def test_days_are_whole_days(engineer, traces, days, num):
    now = timezone.localtime().replace(hour=12)
    for age, trace in enumerate(reversed(traces)):
        Trace.objects.filter(pk=trace.pk).update(created=now - timedelta(days=age))
    since, until = ("" if age is None else f"{now - timedelta(days=age):%Y-%m-%d}" for age in days)
    seen, cursor = 0, ""
    while cursor is not None:
        path = f"/traces/?since={since}&until={until}&cursor={cursor}"
        stretch = engineer.get(path).context["page"]
        seen, cursor = seen + len(stretch.rows), stretch.older
    assert seen == num


def test_the_list_shows_the_beginnings_of_texts(engineer):
    make_trace(question="q" * 500, answer="a" * 500)
    page = engineer.get("/traces/").content.decode()
    assert "a" * 80 in page
    assert "a" * 200 not in page
