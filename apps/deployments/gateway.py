"""Every answer at /v1: who asks, of what, within which limits, and by which way.

Three ways lead to an answer:

relay     the server's own template and parser, or none needed: bytes pass through
speaking  a dialect of Kos: rendered and parsed here, tools are the caller's
harness   the request says ``kos``: tools are called on this server
"""

from __future__ import annotations

import json
from typing import Any

from apps.automation.seats import FullError
from apps.automation.threads import in_thread
from apps.deployments import aliases, limits, services, speaking, wire
from apps.deployments.aliases import UnknownModelError
from apps.deployments.callers import Caller
from apps.deployments.memo import Memo
from apps.deployments.metering import BOOK, Meter
from apps.deployments.models import Deployment
from apps.deployments.relay import POOL, relay
from apps.deployments.wire import Reply
from kos.config import Asking
from kos.errors import UserError

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
PATHS = (CHAT, TEXT)
MAX_BODY_BYTES = 8_000_000
# How late another process's promotion or stop is obeyed: while the name is in use, and after.
FRESH_SECONDS = 1.0
STALE_SECONDS = 10.0


async def answer(path: str, raw: bytes, caller: Caller | None) -> Reply:
    """The reply to one POST. Never raises for what a caller can do wrong."""
    if caller is None:
        return wire.error(
            401,
            "The API key is missing, wrong or over. Make one under API tokens.",
            code="invalid_api_key",
        )
    verdict = limits.BUCKETS.take(caller.key, caller.grant.requests_per_minute)
    if not verdict.is_allowed:
        reply = wire.error(
            429,
            f"{caller.grant.requests_per_minute} requests a minute are used up. Try again in "
            f"{verdict.retry_seconds} s.",
            code="rate_limit_exceeded",
        )
        return reply.with_headers({**verdict.headers, "Retry-After": str(verdict.retry_seconds)})
    reply = await _within_quota(path, raw, caller)
    return reply.with_headers(verdict.headers)


async def _within_quota(path: str, raw: bytes, caller: Caller) -> Reply:
    if not caller.has_tokens_left:
        reply = wire.error(
            429,
            f"{caller.grant.tokens_per_day:,} tokens a day are used up. They come back at "
            "midnight UTC; an admin can grant more.",
            code="insufficient_quota",
        )
        return reply.with_headers({"Retry-After": str(limits.seconds_to_midnight())})
    try:
        body = parse(path, raw)
        deployment = await find(str(body.get("model", "")), caller)
        return await _answer(path, body, deployment, caller)
    except UnknownModelError as error:
        return wire.error(404, str(error), code="model_not_found", param="model")
    except UserError as error:
        return wire.error(400, str(error))


async def find(model: str, caller: Caller) -> Deployment:
    """The deployment that answers this caller to ``model``. Raises UnknownModelError."""
    return (await _ROUTES.get(model)).choose(caller.key)


def parse(path: str, raw: bytes) -> dict[str, Any]:
    """The request's JSON. Raises UserError for what no way can answer."""
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise UserError(f"The body is no JSON: {error}.") from error
    if not isinstance(body, dict):
        raise UserError("The body needs to be a JSON object with `model` and `messages`.")
    if path == CHAT:
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
            raise UserError("The body needs `messages`, a list of objects with role and content.")
        if not messages:
            raise UserError("The body needs `messages`: it has an empty list.")
    elif not isinstance(body.get("prompt"), str):
        raise UserError("The body needs `prompt`, one text.")
    if body.get("n") not in (None, 1):
        raise UserError(f"`n` is {body['n']!r}; Kos gives one answer a request. Leave `n` out.")
    return body


def full(error: FullError) -> Reply:
    """No seat is free, in OpenAI's words."""
    code = "rate_limit_exceeded" if error.is_own else "overloaded"
    reply = wire.error(error.status, str(error), code=code)
    return reply.with_headers({"Retry-After": str(error.retry_seconds)})


async def close() -> None:
    """Let go of connections, and write what usage is left."""
    POOL.close()
    await BOOK.flush()


async def _answer(
    path: str, body: dict[str, Any], deployment: Deployment, caller: Caller
) -> Reply:
    how = deployment.how
    if path == CHAT and needs_speaking(body, deployment.dialect, how):
        return await speaking.answer(body, deployment, caller)
    key = await in_thread(services.key_of, deployment) if deployment.secret else ""
    meter = Meter(deployment.pk, caller.user.pk, caller.token_name)
    _fill(path, body, deployment, how)
    return await relay(path, body, deployment, meter=meter, key=key)


def needs_speaking(body: dict[str, Any], dialect: str, how: Asking) -> bool:
    """Whether Kos itself has to render and parse, and not only to pass on."""
    if "kos" in body:
        return True
    if dialect == "server":
        return False
    # A plain conversation in ChatML reads the same in the server's template, and its answer
    # needs no parser unless the model thinks.
    return dialect != "hermes" or bool(body.get("tools")) or how.thinking


def _fill(path: str, body: dict[str, Any], deployment: Deployment, how: Asking) -> None:
    """What the deployment says, wherever the request does not."""
    body["model"] = deployment.served_model
    body.setdefault("temperature", how.sampling.temperature)
    body.setdefault("top_p", how.sampling.top_p)
    if body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
        body["max_tokens"] = how.sampling.max_tokens
    if path != CHAT or not how.system_prompt:
        return
    messages = body["messages"]
    # A template may bring its own prompt where there is none, and another model would be
    # served than was evaluated.
    if not any(one.get("role") in ("system", "developer") for one in messages):
        body["messages"] = [{"role": "system", "content": how.system_prompt}, *messages]


_ROUTES = Memo(aliases.route, fresh_seconds=FRESH_SECONDS, stale_seconds=STALE_SECONDS)
