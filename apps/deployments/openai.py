"""OpenAI's API through Django: for signed-in people, and where no ASGI server runs.

Programs with a token come by ``apps.deployments.asgi``; both lead to the same gateway.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from ninja import Router

from apps.accounts.models import User
from apps.automation.seats import FullError
from apps.automation.streams import Stream
from apps.deployments import aliases, callers, gateway, limits, wire
from apps.deployments.callers import Caller
from apps.deployments.models import Alias, Deployment
from apps.deployments.wire import Reply

router = Router(tags=["models"])


@router.get("models", summary="List the models that can be asked")
def models(request: HttpRequest) -> HttpResponse:
    """Aliases first, then deployments; the newest deployment of a name answers."""
    return JsonResponse({"object": "list", "data": [*_listed().values()]})


@router.get("models/{path:name}", summary="One model")
def model(request: HttpRequest, name: str) -> HttpResponseBase:
    found = _listed().get(name)
    if found is None:
        sentence = f"There is no ready deployment called {name!r}."
        return _respond(wire.error(404, sentence, code="model_not_found"))
    return JsonResponse(found)


@router.post("chat/completions", summary="Answer a conversation, streamed or whole")
async def chat_completions(request: HttpRequest) -> HttpResponseBase:
    """OpenAI's request; with ``kos`` in it the harness calls tools on this server."""
    return _respond(await _answer(gateway.CHAT, request))


@router.post("completions", summary="Continue a text, streamed or whole")
async def completions(request: HttpRequest) -> HttpResponseBase:
    """Passed on to the deployment's server as it is."""
    return _respond(await _answer(gateway.TEXT, request))


async def _answer(path: str, request: HttpRequest) -> Reply:
    """The reply, whose seat is free again when its last byte is out."""
    caller = await _caller(request)
    if caller is None:
        return await gateway.answer(path, b"", None)
    with ExitStack() as seat:
        try:
            seat.enter_context(limits.ANSWERS.taken(caller.user.pk))
        except FullError as error:
            return gateway.full(error)
        reply = await gateway.answer(path, request.body, caller)
        if isinstance(reply.body, bytes):
            return reply
        body = _seated(reply.body, seat.pop_all())
        await anext(body)  # begun: from here on closing it frees the seat
        return replace(reply, body=body)


async def _seated(
    body: AsyncGenerator[bytes, None], seat: ExitStack
) -> AsyncGenerator[bytes, None]:
    with seat:
        async with aclosing(body) as pieces:
            yield b""
            async for piece in pieces:
                yield piece


async def _caller(request: HttpRequest) -> Caller | None:
    if header := request.headers.get("Authorization"):
        return await callers.of_header(header, request.META.get("REMOTE_ADDR", ""))
    return await callers.of_user(request.user) if isinstance(request.user, User) else None


def _respond(reply: Reply) -> HttpResponseBase:
    headers = {"Cache-Control": "no-store", **reply.headers}
    if isinstance(reply.body, bytes):
        return HttpResponse(
            reply.body, status=reply.status, content_type=reply.content_type, headers=headers
        )
    return Stream(
        reply.body, status=reply.status, content_type=reply.content_type, headers=headers
    )


def _listed() -> dict[str, dict[str, Any]]:
    ready = Deployment.objects.ready().order_by("pk")
    named: dict[str, Deployment | Alias] = {row.name: row for row in ready}
    taken = set(Alias.objects.values_list("name", flat=True))
    named = {name: row for name, row in named.items() if name not in taken}
    named |= {alias.name: alias for alias in aliases.ready_aliases()}
    return {
        name: {
            "id": name,
            "object": "model",
            "created": int(row.created.timestamp()),
            "owned_by": "kos",
        }
        for name, row in sorted(named.items())
    }
