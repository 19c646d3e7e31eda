"""Pages of the playground. Everything works by plain forms; the socket makes it quick."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.guards import PageRequest, member
from apps.accounts.numerals import number
from apps.chat import answers, pairings, reading, services
from apps.chat import feedback as opinions
from apps.chat.models import ChatMessage, Conversation
from apps.chat.services import IdentifiersError
from apps.chat.starters import USE_CASES
from apps.deployments.models import Deployment
from kos.errors import UserError

PER_PAGE = 50


@member
@require_safe
def list(request: PageRequest) -> HttpResponse:
    """One's own conversations, newest first; ``q`` finds words in them."""
    words = request.GET.get("q", "").strip()[:200]
    found = Conversation.objects.visible_to(request.user).listed()
    if words:
        found = found.search(words)
    found = found.select_related("deployment", "pairing_left__right__deployment")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    snippets = reading.snippets(page.object_list, words) if words else {}
    rows = [(conversation, snippets.get(conversation.pk, "")) for conversation in page]
    context = {"page": page, "rows": rows, "words": words, "deployments": ready()}
    return render(request, "chat/list.html", context)


@member
@require_http_methods(["GET", "POST"])
def new(request: PageRequest) -> HttpResponse:
    """The first message makes the conversation, or two side by side."""
    fields = request.POST if request.method == "POST" else request.GET
    context: dict[str, Any] = {
        "deployments": ready(),
        "chosen": named(fields) or ready().first(),
        "rival": named(fields, "rival"),
        "is_blind": "blind" in fields,
        "text": fields.get("text", ""),
        "use_cases": USE_CASES,
    }
    if request.method == "POST":
        try:
            return _begin(request, context)
        except IdentifiersError as problem:
            context["found"] = problem.found
        except UserError as problem:
            context["error"] = str(problem)
    is_refused = "found" in context or "error" in context
    return render(request, "chat/new.html", context, status=422 if is_refused else 200)


@member
@require_safe
def detail(request: PageRequest, pk: int) -> HttpResponse:
    conversation = get(request, pk)
    if conversation.pairing is not None and conversation.pairing.hides_names:
        return redirect("chat:pair", conversation.pairing.pk)
    return _show(request, conversation)


@member
@require_POST
def send(request: PageRequest, pk: int) -> HttpResponse:
    conversation = get(request, pk)
    text = request.POST.get("text", "")
    try:
        answer = services.add_message(
            conversation,
            text,
            deployment=named(request.POST),
            is_warned="anyway" in request.POST,
        )
    except IdentifiersError as error:
        return _show(request, conversation, text=text, found=error.found)
    except UserError as error:
        return _show(request, conversation, text=text, error=str(error))
    start(request, answer)
    return redirect("chat:detail", pk)


@member
@require_POST
def edit(request: PageRequest, pk: int, message: int) -> HttpResponse:
    """Ask in other words: a new branch."""
    conversation = get(request, pk)
    asked = message_of(conversation, message)
    editing: dict[str, Any] = {"pk": message, "text": request.POST.get("text", "")}
    try:
        answer = services.edit(
            conversation, asked, editing["text"], is_warned="anyway" in request.POST
        )
    except IdentifiersError as error:
        return _show(request, conversation, editing=editing | {"found": error.found})
    except UserError as error:
        return _show(request, conversation, editing=editing | {"error": str(error)})
    start(request, answer)
    return redirect("chat:detail", pk)


@member
@require_POST
def regenerate(request: PageRequest, pk: int) -> HttpResponse:
    conversation = get(request, pk)
    wanted = number(request.POST.get("message", ""))
    at = None if wanted is None else message_of(conversation, wanted)
    try:
        answer = services.regenerate(conversation, at)
    except UserError as error:
        messages.error(request, str(error))
    else:
        start(request, answer)
    return redirect("chat:detail", pk)


@member
@require_POST
def show(request: PageRequest, pk: int, message: int) -> HttpResponse:
    """Go to another branch."""
    conversation = get(request, pk)
    try:
        services.show(conversation, message_of(conversation, message))
    except UserError as error:
        messages.error(request, str(error))
    async_to_sync(answers.tell)(pk)
    return redirect("chat:detail", pk)


@member
@require_POST
def stop(request: PageRequest, pk: int) -> HttpResponse:
    async_to_sync(answers.stop)(get(request, pk))
    return redirect("chat:detail", pk)


@member
@require_safe
def source(request: PageRequest, pk: int, message: int, name: str) -> HttpResponse:
    """The passage behind a citation: a page, or what the drawer shows."""
    answer = message_of(get(request, pk), message)
    return show_source(request, answer, name, {"conversation": answer.conversation})


@member
@require_POST
def feedback(request: PageRequest, pk: int, message: int) -> HttpResponse:
    """A thumb, its reasons, or a flag for review."""
    conversation = get(request, pk)
    answer = message_of(conversation, message)
    status = 200
    try:
        _judge(request, answer)
    except UserError as error:
        messages.error(request, str(error))
        status = 422
    if not request.htmx:
        return redirect(conversation.get_absolute_url() + f"#feedback-{message}")
    answer = message_of(conversation, message)
    context = {"message": answer, "conversation": conversation, "reasons": opinions.REASONS}
    return render(request, "chat/_feedback.html", context, status=status)


def get(request: PageRequest, pk: int) -> Conversation:
    visible = Conversation.objects.visible_to(request.user)
    return get_object_or_404(
        visible.select_related("deployment__run", "deployment__artifact"), pk=pk
    )


def message_of(conversation: Conversation, pk: int) -> ChatMessage:
    found = conversation.messages.select_related("feedback", "trace", "deployment")
    return get_object_or_404(found, pk=pk)


def show_source(
    request: Any, answer: ChatMessage, name: str, context: dict[str, Any]
) -> HttpResponse:
    found = answer.source(name)
    if found is None:
        raise Http404(f"Nothing was retrieved under {name} for this answer.")
    whole = "chat/shared_source.html" if "share" in context else "chat/source.html"
    template = "chat/_source.html" if request.htmx else whole
    is_sample = reading.is_demonstration(found)
    context = context | {"source": found, "message": answer, "is_demonstration": is_sample}
    return render(request, template, context)


def start(request: PageRequest, *rows: ChatMessage) -> None:
    """Write answers in the server's event loop; where there is none, here and now."""
    begin = answers.start if isinstance(request, ASGIRequest) else answers.start_and_wait
    for answer in rows:
        async_to_sync(begin)(answer)


def ready() -> QuerySet[Deployment]:
    return Deployment.objects.ready().select_related("artifact", "run")


def named(fields: QueryDict, name: str = "deployment") -> Deployment | None:
    """The ready deployment that a form names."""
    return ready().filter(pk=number(fields.get(name, "")) or 0).first()


def _begin(request: PageRequest, context: dict[str, Any]) -> HttpResponse:
    is_warned = "anyway" in request.POST
    chosen, rival = context["chosen"], context["rival"]
    if rival is None:
        answer = services.begin(request.user, chosen, context["text"], is_warned=is_warned)
        start(request, answer)
        return redirect("chat:detail", answer.conversation_id)
    if chosen is None:
        raise UserError("Choose two deployments that are ready.")
    pairing = pairings.begin(
        request.user,
        (chosen, rival),
        context["text"],
        is_blind=context["is_blind"],
        is_warned=is_warned,
    )
    start(request, *pairings.answers(pairing))
    return redirect("chat:pair", pairing.pk)


def _judge(request: PageRequest, answer: ChatMessage) -> None:
    fields = request.POST
    if fields.get("verdict") in ("good", "bad"):
        opinions.judge(answer, request.user, is_good=fields["verdict"] == "good")
    elif "review" in fields:
        opinions.flag(answer, request.user)
    elif "explain" in fields:
        opinions.explain(
            answer, request.user, fields.getlist("reason"), note=fields.get("note", "")
        )


def _show(
    request: PageRequest,
    conversation: Conversation,
    *,
    text: str = "",
    error: str = "",
    found: Any = (),
    editing: dict[str, Any] | None = None,
) -> HttpResponse:
    services.close_silent(conversation)
    conversation.refresh_from_db(fields=["leaf"])
    path = reading.shown_path(conversation)
    context = {
        "conversation": conversation,
        "path": path,
        "is_writing": any(shown.message.is_writing for shown in path),
        "has_demonstration": any(shown.has_demonstration for shown in path),
        "deployments": ready(),
        "chosen": conversation.deployment,
        "text": text,
        "error": error,
        "found": found,
        "editing": editing,
    }
    is_refused = bool(error or found or editing)
    return render(request, "chat/detail.html", context, status=422 if is_refused else 200)
