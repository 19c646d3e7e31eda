"""A conversation called otherwise, or deleted, by whom it belongs to."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from apps.accounts.guards import PageRequest, member
from apps.chat import answers, services
from apps.chat.views import get
from kos.errors import UserError


@member
@require_POST
def rename(request: PageRequest, pk: int) -> HttpResponse:
    conversation = get(request, pk)
    try:
        services.rename(conversation, request.POST.get("title", ""))
    except UserError as error:
        messages.error(request, str(error))
    return redirect("chat:share", pk)


@member
@require_POST
def delete(request: PageRequest, pk: int) -> HttpResponse:
    """For good, with the one beside it if there is one."""
    conversation = get(request, pk)
    for side in services.both_sides(conversation):
        async_to_sync(answers.stop)(side)
    services.delete(conversation)
    messages.success(request, "The conversation is gone, and its links with it.")
    return redirect("chat:list")
