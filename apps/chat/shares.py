"""Pages of links and files: who may read a conversation without an account, and how to keep it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.guards import PageRequest, member
from apps.accounts.numerals import number
from apps.chat import exports, reading, sharing
from apps.chat.models import Conversation, Share
from apps.chat.views import get, show_source
from kos.errors import UserError


@member
@require_http_methods(["GET", "POST"])
def share(request: PageRequest, pk: int) -> HttpResponse:
    """Links to a conversation, a form for another one, and the files it can be kept as."""
    conversation = get(request, pk)
    if request.method == "POST":
        try:
            sharing.share(
                conversation,
                days=number(request.POST.get("days", "")) or 0,
                shows_model="shows_model" in request.POST,
            )
        except UserError as error:
            messages.error(request, str(error))
        return redirect("chat:share", pk)
    links = [
        (link, request.build_absolute_uri(link.get_absolute_url()))
        for link in conversation.shares.all()
    ]
    has_identifiers = conversation.messages.exclude(identifiers=[]).exists()
    context = {
        "conversation": conversation,
        "links": links,
        "days": sharing.DAYS,
        "has_identifiers": has_identifiers,
    }
    return render(request, "chat/share.html", context)


@member
@require_POST
def revoke(request: PageRequest, pk: int, share: int) -> HttpResponse:
    sharing.revoke(get(request, pk), share)
    return redirect("chat:share", pk)


@member
@require_safe
def export_markdown(request: PageRequest, pk: int) -> HttpResponse:
    conversation = get(request, pk)
    try:
        text = exports.to_markdown(conversation)
    except UserError as error:
        return _refused(request, pk, error)
    response = HttpResponse(text, content_type="text/markdown; charset=utf-8")
    return _as_file(response, conversation, "md")


@member
@require_safe
def export_json(request: PageRequest, pk: int) -> HttpResponse:
    conversation = get(request, pk)
    try:
        rows = exports.to_json(conversation)
    except UserError as error:
        return _refused(request, pk, error)
    response = JsonResponse(rows, json_dumps_params={"ensure_ascii": False, "indent": 1})
    return _as_file(response, conversation, "json")


@require_safe
@never_cache
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """What a link shows to anybody who has it: no names of people, nothing to change."""
    link = _live(token)
    context = {"share": link, "path": reading.shared_path(link), "conversation": link.conversation}
    return _unlisted(render(request, "chat/shared.html", context))


@require_safe
@never_cache
def shared_source(request: HttpRequest, token: str, message: int, name: str) -> HttpResponse:
    link = _live(token)
    path = reading.shared_path(link)
    # Only what the link shows: other branches of the conversation are not in it.
    answer = next((shown.message for shown in path if shown.message.pk == message), None)
    if answer is None:
        answer = get_object_or_404(link.conversation.messages.none(), pk=message)
    return _unlisted(show_source(request, answer, name, {"share": link}))


def _live(token: str) -> Share:
    return get_object_or_404(Share.objects.live().select_related("conversation"), token=token)


def _unlisted(response: HttpResponse) -> HttpResponse:
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _as_file(response: HttpResponse, conversation: Conversation, ending: str) -> HttpResponse:
    name = slugify(conversation.title)[:40] or "conversation"
    response["Content-Disposition"] = f'attachment; filename="{name}.{ending}"'
    return response


def _refused(request: PageRequest, pk: int, error: UserError) -> HttpResponse:
    messages.error(request, str(error))
    return redirect("chat:share", pk)
