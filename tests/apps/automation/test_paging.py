from __future__ import annotations

import pytest
from ninja.errors import ValidationError

from apps.automation.paging import page, slice_page
from apps.runs.models import Run
from tests.factories import make_run, make_user


@pytest.fixture
def runs(db) -> list[Run]:
    owner = make_user()
    return [make_run(name=name, owner=owner) for name in ("b", "a", "b", "c", "a")]


def read_all(key, limit: int) -> list[str]:
    found, cursor = [], ""
    while True:
        one = page(Run.objects.all(), cursor=cursor, limit=limit, key=key)
        found += [f"{run.name}{run.pk}" for run in one["items"]]
        if one["next"] is None:
            return found
        cursor = one["next"]


@pytest.mark.parametrize("limit", [1, 2, 5, 7])
@pytest.mark.parametrize("key", ["-pk", "pk", "name", ("-name", "-pk")])
def test_page_by_page_nothing_is_missed_or_told_twice(runs, key, limit):
    keys = [key] if isinstance(key, str) else list(key)
    ordered = Run.objects.order_by(*keys, *([] if "pk" in keys[-1] else ["pk"]))
    assert read_all(key, limit) == [f"{run.name}{run.pk}" for run in ordered]


def test_what_is_new_shifts_nothing(runs):
    first = page(Run.objects.all(), cursor="", limit=2)
    make_run(owner=runs[0].owner)
    second = page(Run.objects.all(), cursor=first["next"], limit=2)
    assert [run.pk for run in second["items"]] == [runs[2].pk, runs[1].pk]


@pytest.mark.parametrize("cursor", ["nonsense", "WzFd:1sOmE:signature"])
def test_a_cursor_that_nobody_gave_is_refused(runs, cursor):
    with pytest.raises(ValidationError):
        page(Run.objects.all(), cursor=cursor, limit=2)


def test_a_cursor_of_another_order_is_refused(runs):
    by_name = page(Run.objects.all(), cursor="", limit=2, key="name")["next"]
    with pytest.raises(ValidationError):
        page(Run.objects.all(), cursor=by_name, limit=2)


def test_a_list_in_memory_goes_on_where_it_ended():
    first = slice_page(range(5), cursor="", limit=3)
    second = slice_page(range(5), cursor=first["next"], limit=3)
    assert (first["items"], second) == ([0, 1, 2], {"items": [3, 4], "next": None})


def test_a_page_takes_one_query(runs, django_assert_num_queries):
    with django_assert_num_queries(1):
        page(Run.objects.all(), cursor="", limit=3)
