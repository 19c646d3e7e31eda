"""Pages of the playground. Everything works by plain forms; the socket makes it quick."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.guards import PageRequest, member
from apps.chat import answers, services
from apps.chat.models import ChatMessage, Conversation
from apps.deployments.models import Deployment
from kos.errors import UserError

PER_PAGE = 50


@member
@require_safe
def list(request: PageRequest) -> HttpResponse:
    conversations = Conversation.objects.visible_to(request.user).select_related("deployment")
    page = Paginator(conversations, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "chat/list.html", {"page": page, "deployments": _ready()})


@member
@require_http_methods(["GET", "POST"])
def new(request: PageRequest) -> HttpResponse:
    """The first message makes the conversation."""
    text, error = request.POST.get("text", ""), ""
    chosen = _named(request.POST or request.GET) or _ready().first()
    if request.method == "POST":
        try:
            answer = services.begin(request.user, chosen, text)
        except UserError as problem:
            error = str(problem)
        else:
            _start(request, answer)
            return redirect("chat:detail", answer.conversation_id)
    context = {"deployments": _ready(), "chosen": chosen, "text": text, "error": error}
    return render(request, "chat/new.html", context, status=422 if error else 200)


@member
@require_safe
def detail(request: PageRequest, pk: int) -> HttpResponse:
    return _show(request, _get(request, pk))


@member
@require_POST
def send(request: PageRequest, pk: int) -> HttpResponse:
    conversation = _get(request, pk)
    text = request.POST.get("text", "")
    try:
        answer = services.add_message(conversation, text, deployment=_named(request.POST))
    except UserError as error:
        return _show(request, conversation, text=text, error=str(error))
    _start(request, answer)
    return redirect("chat:detail", pk)


@member
@require_POST
def regenerate(request: PageRequest, pk: int) -> HttpResponse:
    conversation = _get(request, pk)
    try:
        answer = services.regenerate(conversation)
    except UserError as error:
        messages.error(request, str(error))
    else:
        _start(request, answer)
    return redirect("chat:detail", pk)


@member
@require_POST
def stop(request: PageRequest, pk: int) -> HttpResponse:
    async_to_sync(answers.stop)(_get(request, pk))
    return redirect("chat:detail", pk)


def _show(
    request: PageRequest, conversation: Conversation, *, text: str = "", error: str = ""
) -> HttpResponse:
    services.close_silent(conversation)
    rows = [*conversation.messages.all()]
    context = {
        "conversation": conversation,
        "chat_messages": rows,
        "is_writing": any(row.is_writing for row in rows),
        "deployments": _ready(),
        "chosen": conversation.deployment,
        "text": text,
        "error": error,
    }
    return render(request, "chat/detail.html", context, status=422 if error else 200)


def _start(request: PageRequest, answer: ChatMessage) -> None:
    """Write the answer in the server's event loop; where there is none, here and now."""
    begin = answers.start if isinstance(request, ASGIRequest) else answers.start_and_wait
    async_to_sync(begin)(answer.pk)


def _get(request: PageRequest, pk: int) -> Conversation:
    visible = Conversation.objects.visible_to(request.user)
    return get_object_or_404(
        visible.select_related("deployment__run", "deployment__artifact"), pk=pk
    )


def _ready() -> QuerySet[Deployment]:
    return Deployment.objects.ready().select_related("artifact", "run")


def _named(fields: QueryDict) -> Deployment | None:
    """The ready deployment that a form names."""
    wanted = fields.get("deployment", "")
    return _ready().filter(pk=wanted).first() if wanted.isdecimal() else None
