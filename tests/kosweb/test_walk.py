from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.reviews.models import Item, Queue
from kosweb.walk import addresses, pages
from tests.factories import make_run, make_trace


def test_the_walk_finds_pages_with_and_without_numbers(engineer):
    run = make_run("train", status="done")
    make_trace(run=run)
    found = {page.name: page.path for page in pages(engineer.user)}
    assert found["runs:list"] == "/runs/"
    assert found["runs:detail"] == f"/runs/{run.pk}/"


def test_what_is_not_there_is_left_out(engineer):
    assert "chat:detail" not in {page.name for page in pages(engineer.user)}


def test_fragments_forms_and_files_are_no_pages(engineer):
    make_run("train")
    found = {page.name for page in pages(engineer.user)}
    assert not found & {"runs:stop", "counts", "runs:metrics", "accounts:sign_out"}


def test_programs_addresses_are_not_walked(engineer):
    assert not [one for one in addresses(engineer.user) if one.path.startswith(("/api", "/admin"))]


def test_the_command_prints_a_page_a_line(engineer):
    out = StringIO()
    call_command("pages", engineer.user.username, stdout=out)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {"name": "home", "path": "/"} in rows


def test_the_command_says_when_nobody_has_that_name(db):
    with pytest.raises(CommandError, match="nobody called nix"):
        call_command("pages", "nix")


def test_a_page_that_compares_is_asked_for_something(engineer):
    runs = [make_run("train", status="done") for _ in range(2)]
    for run in runs:
        make_trace(run=run)
    found = {page.name: page.path for page in pages(engineer.user)}
    assert found["runs:compare"] == f"/runs/compare/?ids={runs[1].pk}%2C{runs[0].pk}"
    assert "?a=" in found["traces:compare"]


def test_a_queue_without_a_dispute_has_no_page_to_settle(admin):
    queue = Queue.objects.create(name="q", rule={"random_percent": 100})
    item = Item.objects.create(queue=queue, trace=make_trace(), position=1)
    assert "reviews:settle" not in {page.name for page in pages(admin.user)}
    Item.objects.update(status=Item.Status.DISPUTED)
    found = {page.name: page.path for page in pages(admin.user)}
    assert found["reviews:settle"] == f"/review/{queue.pk}/{item.pk}/settle/"
