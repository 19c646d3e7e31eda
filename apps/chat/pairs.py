"""The page of two deployments side by side: one composer, two columns, one vote."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.guards import PageRequest, member
from apps.chat import answers, pairings, reading, services
from apps.chat.models import Pairing
from apps.chat.services import IdentifiersError
from apps.chat.views import start
from kos.errors import UserError


@member
@require_safe
def pair(request: PageRequest, pk: int) -> HttpResponse:
    return _show(request, _get(request, pk))


@member
@require_POST
def send(request: PageRequest, pk: int) -> HttpResponse:
    """The next message to both. A script that asks for JSON stays on the page."""
    pairing = _get(request, pk)
    text = request.POST.get("text", "")
    try:
        rows = pairings.add_message(pairing, text, is_warned="anyway" in request.POST)
    except IdentifiersError as error:
        if _wants_json(request):
            html = render_to_string("chat/_warning.html", {"found": error.found})
            return JsonResponse({"kind": "warned", "html": html}, status=422)
        return _show(request, pairing, text=text, found=error.found)
    except UserError as error:
        if _wants_json(request):
            return JsonResponse({"kind": "refused", "text": str(error)}, status=422)
        return _show(request, pairing, text=text, error=str(error))
    start(request, *rows)
    if _wants_json(request):
        return JsonResponse({"kind": "accepted"})
    return redirect("chat:pair", pk)


@member
@require_POST
def stop(request: PageRequest, pk: int) -> HttpResponse:
    for conversation in pairings.sides(_get(request, pk)):
        async_to_sync(answers.stop)(conversation)
    return HttpResponse(status=204) if _wants_json(request) else redirect("chat:pair", pk)


@member
@require_POST
def vote(request: PageRequest, pk: int) -> HttpResponse:
    pairing = _get(request, pk)
    try:
        pairings.vote(pairing, request.POST.get("vote", ""), note=request.POST.get("note", ""))
    except UserError as error:
        messages.error(request, str(error))
    return redirect("chat:pair", pk)


def _get(request: PageRequest, pk: int) -> Pairing:
    mine = Pairing.objects.filter(owner=request.user).select_related(
        "left__deployment__run", "left__deployment__artifact",
        "right__deployment__run", "right__deployment__artifact",
    )  # fmt: skip
    return get_object_or_404(mine, pk=pk)


def _wants_json(request: PageRequest) -> bool:
    return request.accepts("application/json") and not request.accepts("text/html")


def _show(
    request: PageRequest, pairing: Pairing, *, text: str = "", error: str = "", found: Any = ()
) -> HttpResponse:
    for conversation in pairings.sides(pairing):
        services.close_silent(conversation)
    columns = [
        (side, name, conversation, reading.shown_path(conversation))
        for side, name, conversation in zip(
            ("left", "right"), ("A", "B"), pairings.sides(pairing), strict=True
        )
    ]
    path = [shown for _, _, _, shown_path in columns for shown in shown_path]
    context = {
        "pairing": pairing,
        "columns": columns,
        "choices": Pairing.Vote.choices,
        "is_writing": any(shown.message.is_writing for shown in path),
        "has_demonstration": any(shown.has_demonstration for shown in path),
        "chosen": pairing.left.deployment,
        "text": text,
        "error": error,
        "found": found,
    }
    return render(request, "chat/pair.html", context, status=422 if error or found else 200)
