"""Which runs a list shows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.http import QueryDict

from apps.runs.lists.filters import RunFilters
from apps.runs.models import Run, RunInput
from tests.factories import make_artifact, make_run, make_user, make_version


def found(query: str) -> list[str]:
    filters, wrong = RunFilters.read(QueryDict(query))
    assert not wrong
    return [run.name for run in filters.apply(Run.objects.all())]


def test_nothing_asked_for_is_newest_first(db):
    make_run(name="a")
    make_run(name="b")
    assert found("") == ["b", "a"]


@pytest.mark.parametrize("words", ["warm", "WARM start", "lower rate", "best", "%23{pk}", "{pk}"])
def test_words_are_found_in_name_notes_tags_and_number(db, words):
    run = make_run(name="Warm start", notes="a lower rate", tags=["best"])
    make_run(name="other")
    assert found(f"q={words.format(pk=run.pk)}") == ["Warm start"]


def test_several_statuses_are_any_of_them(db):
    for status in ("done", "failed", "running", "queued"):
        make_run(name=status, status=status)
    assert found("status=done&status=failed") == ["failed", "done"]
    assert found("status=active") == ["queued", "running"]


def test_several_tags_are_all_of_them(db):
    make_run(name="both", tags=["a", "b"])
    make_run(name="one", tags=["a"])
    assert found("tag=a&tag=b") == ["both"]


def test_owner_dataset_base_and_kind_narrow(db):
    owner, version, base = make_user("ada"), make_version(), make_artifact()
    run = make_run("train", name="mine", owner=owner, dataset=version)
    RunInput.objects.create(run=run, name="base", artifact=base)
    make_run("sft", name="other")
    for query in ("owner=ada", f"dataset={version.pk}", f"base={base.pk}", "kind=train"):
        assert found(query) == ["mine"], query


def test_days_are_whole_days(db):
    run = make_run(name="today")
    old = make_run(name="old")
    Run.objects.filter(pk=old.pk).update(created=run.created - timedelta(days=3))
    day = f"{run.created:%Y-%m-%d}"
    assert found(f"after={day}&before={day}") == ["today"]


def test_the_archive_and_the_stages_are_asked_for(db):
    make_run(name="gone", is_archived=True)
    pipeline = make_run("pipeline", name="way", status="running")
    make_run("train", name="way: train", pipeline=pipeline, stage="train")
    assert found("") == ["way"]
    assert found("archived=1") == ["gone"]
    assert found("stages=1") == ["way: train", "way"]


def test_a_column_sorts_both_ways_and_empty_ones_go_last(db):
    run = make_run(name="b")
    Run.objects.filter(pk=run.pk).update(ended=run.created)
    make_run(name="a")
    assert found("sort=name") == ["a", "b"]
    assert found("sort=-name") == ["b", "a"]
    assert found("sort=-ended") == ["b", "a"]


def test_what_cannot_be_used_is_left_out_and_said(db):
    query = QueryDict("status=magic&after=yesterday&kind=base&dataset=x&sort=colour")
    filters, wrong = RunFilters.read(query)
    assert (filters.kind, filters.status, filters.sort) == ("base", [], "")
    assert len(wrong) == 4


def test_empty_fields_of_a_form_ask_for_nothing(db):
    filters, wrong = RunFilters.read(QueryDict("q=&status=&kind=&dataset=&after=&base="))
    assert not wrong
    assert not filters.is_narrow
