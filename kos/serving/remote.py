"""Registering a server elsewhere: ask what it serves, probe it, say that it answers.

No process stays behind: the deployment is the address, and who asks it talks to that server.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import httpx

from kos.config import Remote
from kos.errors import UserError
from kos.events import Job, Note, Progress, Serving
from kos.serving.client import HttpClient, connect_sync
from kos.serving.deploy import check_tools
from kos.serving.family import dialect_of_name
from kos.serving.probe import warm_up

LIST_SECONDS = 15.0


def register(config: Remote, job: Job) -> None:
    """Emit ``Serving`` for the server at ``config.url`` once it has answered a question.

    Raises ``UserError`` with the server's own words when it refuses.
    """
    check_tools(config.asking)
    key = job.secret(config.secret) if config.secret else ""
    url = server_of(config.url)
    job.emit(Progress("probe", 0, 2, "checks"))
    model = config.served_model or first_model(url, key)
    job.emit(Progress("probe", 1, 2, "checks"))
    client = HttpClient(url, model, key=key)
    first = warm_up(client)
    dialect: str = config.asking.dialect
    if dialect == "auto":
        dialect = asyncio.run(_dialect(client))
    job.emit(Note(f"{model} answers: {first.text!r}. It is asked in the dialect {dialect!r}."))
    job.emit(Progress("probe", 2, 2, "checks"))
    job.emit(
        Serving(
            url,
            config.name,
            engine="remote",
            dialect=dialect,
            served_model=model,
            warm_up=first.show(),
        )
    )


def server_of(url: str) -> str:
    """The address without the ``/v1`` that people copy along."""
    return url.rstrip("/").removesuffix("/v1")


def first_model(url: str, key: str = "") -> str:
    """The first model that the server lists."""
    try:
        with connect_sync(url, key=key, silence_seconds=LIST_SECONDS) as http:
            response = http.get("/v1/models")
    except httpx.HTTPError as error:
        raise UserError(
            f"Nothing answers at {url}/v1/models ({str(error) or type(error).__name__}). Check "
            "the address, and that the server is up."
        ) from error
    if not response.is_success:
        raise UserError(
            f"{url}/v1/models answers with status {response.status_code}: {response.text[:200]}"
        )
    try:
        return str(response.json()["data"][0]["id"])
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{url}/v1/models lists no model. Give the model's name there yourself."
        ) from error


async def _dialect(client: HttpClient) -> str:
    """The family's dialect, if the server takes rendered prompts; else its own template."""
    dialect = dialect_of_name(client.model)
    if dialect == "server":
        return dialect
    stream = client.stream_raw("Hello", max_tokens=1, temperature=0)
    try:
        async with aclosing(stream) as deltas:
            async for _ in deltas:
                pass
    except UserError:
        return "server"
    return dialect
