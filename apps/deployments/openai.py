"""OpenAI's API over the ready deployments: ``model`` is a deployment's name.

Requests are passed through to the deployment's server, and its answer back as it comes. Only
the system prompt of training is added where a conversation has none: without it a template
may bring its own, and another model would be served than was evaluated.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Router

from apps.deployments import services
from apps.deployments.models import Deployment
from kos.chat.template import SYSTEM_PROMPT
from kos.errors import UserError
from kos.serving.client import connect

router = Router(tags=["models"])


@router.get("models", summary="List the models that can be asked")
def models(request: HttpRequest) -> HttpResponse:
    """One entry a name; the newest deployment of a name answers."""
    newest = {row.name: row for row in Deployment.objects.ready().order_by("pk")}
    data = [
        {
            "id": name,
            "object": "model",
            "created": int(row.created.timestamp()),
            "owned_by": "kos",
        }
        for name, row in sorted(newest.items())
    ]
    return JsonResponse({"object": "list", "data": data})


@router.post("chat/completions", summary="Answer a conversation, streamed or whole")
async def chat_completions(request: HttpRequest) -> HttpResponseBase:
    """Pass the request on to the deployment called ``model``."""
    try:
        body = _body(request.body)
        deployment = await sync_to_async(services.find_ready)(str(body.get("model", "")))
    except services.UnknownModelError as error:
        return refuse(404, str(error))
    except UserError as error:
        return refuse(400, str(error))
    http = connect(deployment.url)
    try:
        response = await http.send(
            http.build_request("POST", "/v1/chat/completions", json=body), stream=True
        )
    except httpx.HTTPError as error:
        await http.aclose()
        return refuse(502, f"The server of {deployment.name!r} does not answer ({error}).")
    return StreamingHttpResponse(
        _pass_on(http, response),
        status=response.status_code,
        content_type=response.headers.get("content-type", "application/json"),
        headers={"Cache-Control": "no-store"},
    )


def refuse(status: int, sentence: str) -> HttpResponse:
    """An error as OpenAI's clients read it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": sentence, "type": kind, "code": HTTPStatus(status).name.lower()}
    return JsonResponse({"error": error}, status=status)


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise UserError(f"The body is no JSON: {error}.") from error
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise UserError("The body needs `messages`, a list of objects with role and content.")
    if not any(one.get("role") == "system" for one in messages):
        messages.insert(0, {"role": "system", "content": SYSTEM_PROMPT})
    return body  # type: ignore[no-any-return]  # a dict: it has messages


async def _pass_on(http: httpx.AsyncClient, response: httpx.Response) -> AsyncIterator[bytes]:
    """The server's bytes as they come. When the caller leaves, the server's stream is closed."""
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except httpx.HTTPError as error:
        body = {"error": {"message": f"The server broke off ({error}).", "type": "server_error"}}
        yield b"data: " + json.dumps(body).encode() + b"\n\n"
    finally:
        await response.aclose()
        await http.aclose()
