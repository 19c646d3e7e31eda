"""What the forms of the runs' pages change: names, tags, notes, and many runs at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts import undo
from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.runs.lists import listing, organising
from apps.runs.models import Run
from apps.runs.page.frame import visible_run
from kos.errors import UserError

MOST = 1000
COMPARED = range(2, 7)


class Done(NamedTuple):
    """What came of a bulk action: a sentence, and which runs it changed, for undoing."""

    said: str
    changed: Sequence[int]
    inverse: str = ""


@engineer
@require_POST
def rename(request: PageRequest, pk: int) -> HttpResponse:
    run = visible_run(request, pk)
    return _edited(request, run, lambda: organising.rename(run, request.POST.get("name", "")))


@engineer
@require_POST
def edit_notes(request: PageRequest, pk: int) -> HttpResponse:
    run = visible_run(request, pk)
    return _edited(request, run, lambda: organising.note(run, request.POST.get("notes", "")))


@engineer
@require_POST
def tags(request: PageRequest, pk: int) -> HttpResponse:
    """The tags typed, parted by commas, go on; those ticked to go, off."""
    run = visible_run(request, pk)
    added = [name for name in request.POST.get("add", "").split(",") if name.strip()]
    gone = request.POST.getlist("remove")
    return _edited(request, run, lambda: organising.tag([run], add=added, remove=gone))


@engineer
@require_POST
def bulk(request: PageRequest) -> HttpResponse:
    """One action on the runs that were picked in the list; back to the list, with an undo."""
    query = request.POST.get("query", "")
    runs = [*Run.objects.visible_to(request.user).filter(pk__in=_picked(request)).order_by("pk")]
    action = request.POST.get("action", "")
    if action == "compare" and len(runs) in COMPARED:
        ids = ",".join(str(run.pk) for run in runs)
        return redirect(f"{reverse('runs:compare')}?ids={ids}")
    try:
        done = _act(action, runs, request.POST.get("tag", ""))
    except UserError as error:
        messages.error(request, str(error))
        return redirect(listing.address(query))
    if done.inverse and done.changed:
        fields = {
            "action": done.inverse,
            "ids": ",".join(map(str, done.changed)),
            "tag": request.POST.get("tag", ""),
            "query": query,
        }
        undo.offer(request, done.said, "runs:bulk", fields)
    else:
        messages.info(request, done.said)
    return redirect(listing.address(query))


def _edited(request: PageRequest, run: Run, change: Callable[[], object]) -> HttpResponse:
    try:
        change()
    except UserError as error:
        messages.error(request, str(error))
    return redirect("runs:detail", run.pk)


def _picked(request: PageRequest) -> list[int]:
    """The runs by the boxes that were ticked, or as one field of an undo."""
    given = [*request.POST.getlist("runs"), *request.POST.get("ids", "").split(",")]
    return [pk for one in given if (pk := number(one)) is not None][:MOST]


def _act(action: str, runs: Sequence[Run], tag: str) -> Done:
    if action == "compare":
        raise UserError(f"{_count(len(runs))} picked; pick two to six to compare.")
    if action not in ACTIONS:
        raise UserError(f"There is no action {action!r}; there are {', '.join(ACTIONS)}.")
    if not runs:
        raise UserError("No run is picked; tick the boxes of those you mean.")
    return ACTIONS[action](runs, tag)


def _tag(runs: Sequence[Run], tag: str) -> Done:
    (name,) = _one_tag(tag)
    changed = [run for run in runs if name not in run.tags]
    count = organising.tag(changed, add=[name])
    return Done(f"{_count(count)} tagged {name}.", _ids(changed), "untag")


def _untag(runs: Sequence[Run], tag: str) -> Done:
    (name,) = _one_tag(tag)
    changed = [run for run in runs if name in run.tags]
    count = organising.tag(changed, remove=[name])
    return Done(f"The tag {name} is off {_count(count)}.", _ids(changed), "tag")


def _archive(runs: Sequence[Run], tag: str) -> Done:
    changed = [run for run in runs if run.is_ended and not run.is_archived]
    count = organising.archive(changed)
    going = sum(not run.is_ended for run in runs)
    rest = f" {_count(going)} still in use: stop them first." if going else ""
    return Done(f"{_count(count)} archived.{rest}", _ids(changed), "unarchive")


def _unarchive(runs: Sequence[Run], tag: str) -> Done:
    changed = [run for run in runs if run.is_archived]
    count = organising.archive(changed, False)
    return Done(f"{_count(count)} back from the archive.", _ids(changed), "archive")


def _stop(runs: Sequence[Run], tag: str) -> Done:
    changed = [run for run in runs if run.can_stop]
    count = organising.stop_all(changed)
    return Done(f"{_count(count)} asked to stop. What was saved stays.", _ids(changed))


def _resume(runs: Sequence[Run], tag: str) -> Done:
    changed = [run for run in runs if run.can_resume]
    count = organising.resume_all(changed)
    said = f"{_count(count)} queued again, from the last checkpoint on."
    return Done(said, _ids(changed), "stop")


def _one_tag(tag: str) -> list[str]:
    return organising.clean_tags([tag])


def _ids(runs: Sequence[Run]) -> list[int]:
    return [run.pk for run in runs]


def _count(number: int) -> str:
    return {0: "No run", 1: "One run"}.get(number, f"{number} runs")


ACTIONS: dict[str, Callable[[Sequence[Run], str], Done]] = {
    "tag": _tag,
    "untag": _untag,
    "archive": _archive,
    "unarchive": _unarchive,
    "stop": _stop,
    "resume": _resume,
}
