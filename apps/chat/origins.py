"""Where an answer of one's own conversation comes from: the way back to data and rubrics."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.accounts.guards import PageRequest, member
from apps.chat.models import ChatMessage
from apps.chat.views import get, message_of
from apps.traces import origins
from apps.traces.models import Trace


@member
@require_safe
def origin(request: PageRequest, pk: int, message: int) -> HttpResponse:
    """Everybody may see this of their own answers; only of a blind comparison nothing is told."""
    conversation = get(request, pk)
    answer = message_of(conversation, message)
    pairing = conversation.pairing
    if answer.role != "assistant" or (pairing is not None and pairing.hides_names):
        raise Http404
    trace = trace_of(answer)
    context = {
        "trace": trace,
        "steps": origins.steps(trace),
        "versions": origins.versions(trace),
        "graph_url": origins.graph_url(trace),
        "back": f"{reverse('chat:detail', args=[pk])}#message-{message}",
    }
    return render(request, "traces/origin.html", context)


def trace_of(answer: ChatMessage) -> Trace:
    """The answer's trace, or one made up of what is known of it."""
    return answer.trace or _unrecorded(answer)


def _unrecorded(answer: ChatMessage) -> Trace:
    """What a trace of an answer would say of its origin, where none was kept."""
    deployment = answer.deployment
    return Trace(
        run=deployment.run if deployment is not None else None,
        origin=Trace.Origin.CHAT,
        model=deployment.name if deployment is not None else "",
        answer=answer.content,
        versions=answer.versions,
    )
