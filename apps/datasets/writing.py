"""The editor of one example of a draft, with live scoring of a pasted answer."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from apps.accounts.guards import PageRequest, member
from apps.accounts.numerals import number
from apps.datasets import browsing, diffing, drafts, editing, problems, trying
from apps.datasets.drafts import ConflictError, Held
from apps.datasets.models import DraftVersion, Example
from kos.errors import UserError


@member
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, pk: int) -> HttpResponse:
    """Edit one example: in the open draft of its version, or in a new one.

    A version itself never changes. With several drafts open, one is chosen.
    """
    found = get_object_or_404(Example.objects.select_related("version__dataset"), pk=pk)
    opened = [*found.version.drafts.open().select_related("created_by")]
    if browsing.is_hidden(found):
        return render(request, "datasets/hidden.html", {"example": found}, status=403)
    if request.method == "POST":
        draft = drafts.open_draft(found.version, request.user)
        return redirect(editor_url(draft, found.external_id))
    if len(opened) == 1:
        return redirect(editor_url(opened[0], found.external_id))
    rows = [(draft, editor_url(draft, found.external_id)) for draft in opened]
    return render(request, "datasets/choose.html", {"example": found, "drafts": rows})


@member
@require_http_methods(["GET", "POST"])
def write(request: PageRequest, pk: int) -> HttpResponse:
    """The editor of one example of a draft; a POST saves it and grades the tried answer.

    htmx asks for the part that changed: ``live`` while somebody types, the whole editor when a
    button adds, moves or removes something. Without it the page comes back whole.
    """
    found = draft_of(pk)
    external_id = request.GET.get("id", "")
    try:
        held = drafts.hold(found, external_id)
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:draft", pk)
    if held.task is None or found.status != DraftVersion.Status.OPEN:
        return _closed(request, found, external_id, held)
    if request.method == "GET":
        return _editor(request, found, external_id, held, held.task, secrets.token_hex(8))
    return _written(request, found, external_id, held)


def _written(
    request: PageRequest, found: DraftVersion, external_id: str, held: Held
) -> HttpResponse:
    told, sitting = request.POST.get("do", ""), request.POST.get("sitting", "")[:32]
    mine = editing.task_from(request.POST.dict(), held.task or {})
    task = editing.act(mine, told) if told else mine
    revision = _revision(request.POST.get("theirs" if told == "keep-mine" else "revision", "0"))
    conflict = None
    try:
        drafts.save(found, external_id, task, by=request.user, revision=revision, sitting=sitting)
    except ConflictError as error:
        conflict = error
    except UserError as error:
        messages.error(request, str(error))
        return redirect("datasets:draft", found.pk)
    held = drafts.hold(found, external_id)
    if told == "done" and conflict is None:
        return redirect("datasets:draft", found.pk)
    return _editor(request, found, external_id, held, task, sitting, conflict)


def _editor(
    request: PageRequest,
    found: DraftVersion,
    external_id: str,
    held: Held,
    task: dict[str, Any],
    sitting: str,
    conflict: ConflictError | None = None,
) -> HttpResponse:
    wrong = problems.problems_of(task)
    answer = request.POST.get("answer", "")
    if request.POST.get("do") == "try-reference":
        answer = task.get("reference", "")
    posted = _revision(request.POST.get("revision", "0"))
    context = {
        "draft": found,
        "external_id": external_id,
        "editor_url": editor_url(found, external_id),
        "task": task,
        "rows": editing.rows_of(task, wrong),
        "num_wrong": len(wrong),
        "wrong": wrong,
        "held": held,
        "sitting": sitting,
        # In a conflict the form still says which revision it was made on.
        "revision": posted if conflict is not None else held.revision,
        "conflict": conflict,
        "theirs": diffing.fields(conflict.theirs or {}, task) if conflict is not None else [],
        "is_saved": request.method == "POST" and conflict is None,
        "answer": answer,
        "tried": _tried(task, answer),
        "choices": editing,
        "base_pk": _base_pk(found, external_id),
    }
    is_live = browsing.is_for(request, "live")
    context["is_live"] = is_live
    template = "datasets/edit.html"
    if request.htmx:
        template = "datasets/_live.html" if is_live else "datasets/_editor.html"
    return render(request, template, context)


def _tried(task: dict[str, Any], answer: str) -> trying.Tried | None:
    usable = editing.usable(task)
    return trying.try_answer(usable, answer) if usable is not None and answer.strip() else None


def _closed(
    request: PageRequest, found: DraftVersion, external_id: str, held: Held
) -> HttpResponse:
    """Say why there is no editor: the example is removed, or the draft is not open."""
    if held.task is None:
        messages.warning(request, f"{external_id} is removed in this draft; bring it back first.")
    else:
        messages.warning(request, f"{found} is {found.get_status_display().lower()}.")
    return redirect("datasets:draft", found.pk)


def draft_of(pk: int) -> DraftVersion:
    """The draft with all that its pages name, or 404."""
    rows = DraftVersion.objects.select_related(
        "dataset", "base__dataset", "created_by", "published"
    )
    return get_object_or_404(rows, pk=pk)


def editor_url(found: DraftVersion, external_id: str) -> str:
    """Where an example of a draft is edited."""
    return f"{reverse('datasets:write', args=[found.pk])}?{urlencode({'id': external_id})}"


def _base_pk(found: DraftVersion, external_id: str) -> int | None:
    if found.base is None:
        return None
    return found.base.examples.filter(external_id=external_id).values_list("pk", flat=True).first()


def _revision(text: str) -> int:
    return number(text, most=9) or 0
