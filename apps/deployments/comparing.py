"""The same prompts to several deployments, one after the other: a task of the web process.

One at a time, so that no deployment's speed suffers from another's work. What there is so far
lies in the row, from which every page reads; a stop by any process is seen there.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Sequence
from contextlib import aclosing
from itertools import takewhile
from typing import Any, NamedTuple

from django.db.models.functions import Now

from apps.accounts.models import User
from apps.automation.threads import in_thread
from apps.deployments import limits, services
from apps.deployments.harness import limits_of
from apps.deployments.metering import BOOK, MeteredClient
from apps.deployments.models import Comparison, Deployment
from kos.chat.dialects import DIALECTS
from kos.errors import UserError
from kos.harness.loop import with_system_prompt
from kos.messages import Message
from kos.serving.client import Delta

MAX_PROMPTS = 8
MAX_CHARS = 4_000
COLUMNS = (2, 4)
KEEP_SECONDS = 0.5
CRASHED = "The server was restarted while this was compared. Start it again."
# The same start of chance for every deployment.
SEED = 0

_tasks: dict[int, asyncio.Task[None]] = {}


class Cell(NamedTuple):
    """One answer as the page draws it, under its deployment's ``column``.

    ``same`` is what it shares with the first column's, ``rest`` where they part.
    """

    column: dict[str, Any]
    answer: dict[str, Any] | None
    same: str = ""
    rest: str = ""
    verdict: str = ""


def make(
    owner: User,
    prompts: Sequence[str],
    deployments: Sequence[Deployment],
    *,
    max_tokens: int,
    temperature: float,
) -> Comparison:
    """A comparison that waits to be run. Raises UserError for what cannot be compared, and
    (FullError) when this process writes as many answers as it may.
    """
    asked = [prompt.strip() for prompt in prompts if prompt.strip()]
    if not 1 <= len(asked) <= MAX_PROMPTS:
        raise UserError(f"Give 1 to {MAX_PROMPTS} prompts; there are {len(asked)}.")
    if any(len(prompt) > MAX_CHARS for prompt in asked):
        raise UserError(f"A prompt is longer than {MAX_CHARS:,} characters. Shorten it.")
    if not COLUMNS[0] <= len(deployments) <= COLUMNS[1]:
        raise UserError(f"Choose {COLUMNS[0]} to {COLUMNS[1]} deployments.")
    columns = [
        {"pk": one.pk, "name": one.name, "form": one.form, "engine": one.get_engine_display()}
        for one in deployments
    ]
    limits.ANSWERS.check(owner.pk)
    return Comparison.objects.create(
        owner=owner,
        prompts=asked,
        columns=columns,
        answers=[[None] * len(columns) for _ in asked],
        max_tokens=max_tokens,
        temperature=temperature,
    )


async def start(comparison: Comparison) -> asyncio.Task[None]:
    """Run it in a task of its own, which outlives the request."""
    task = asyncio.create_task(_run_seated(comparison), context=contextvars.Context())
    _tasks[comparison.pk] = task
    task.add_done_callback(lambda _: _tasks.pop(comparison.pk, None))
    return task


async def start_and_wait(comparison: Comparison) -> None:
    """The same to its end, for a server without an event loop of its own."""
    await (await start(comparison))
    await BOOK.flush()


def stop(comparison: Comparison) -> bool:
    """End it, whichever process runs it; False when it was over."""
    stopped = Comparison.objects.running().filter(pk=comparison.pk)
    return stopped.update(status=Comparison.Status.STOPPED, touched=Now()) == 1


def close_silent() -> None:
    """Comparisons whose process is gone have failed."""
    Comparison.objects.silent().update(status=Comparison.Status.FAILED, error=CRASHED)


def table(comparison: Comparison) -> list[tuple[str, list[Cell]]]:
    """The prompts with their answers, each set against the first column's."""
    rows = []
    for prompt, answers in zip(comparison.prompts, comparison.answers, strict=True):
        first = answers[0]
        cells = [Cell(comparison.columns[0], first, same=_text(first))]
        for column, answer in zip(comparison.columns[1:], answers[1:], strict=True):
            cells.append(_against(first, column, answer))
        rows.append((prompt, cells))
    return rows


def summary(comparison: Comparison) -> list[dict[str, Any]]:
    """One line a deployment: means over its finished answers."""
    return [
        {**column, **_means([row[place] for row in comparison.answers])}
        for place, column in enumerate(comparison.columns)
    ]


def divergence(one: str, other: str) -> int | None:
    """Where two texts first differ, in characters; None when they are the same."""
    if one == other:
        return None
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    )


async def _run_seated(comparison: Comparison) -> None:
    with limits.ANSWERS.held(comparison.owner_id):
        await _run(comparison)


async def _run(comparison: Comparison) -> None:
    status, error = Comparison.Status.FAILED, CRASHED
    try:
        for row, prompt in enumerate(comparison.prompts):
            for place, column in enumerate(comparison.columns):
                if not await _fill(comparison, row, place, prompt, column["pk"]):
                    return
        status, error = Comparison.Status.DONE, ""
    finally:
        await in_thread(_end, comparison, status, error)


async def _fill(comparison: Comparison, row: int, place: int, prompt: str, pk: int) -> bool:
    """Ask one deployment; False when the comparison was stopped meanwhile."""
    answer: dict[str, Any] = {"text": "", "is_writing": True, "num_tokens": 0}
    comparison.answers[row][place] = answer
    is_wanted = await in_thread(_keep, comparison)
    work = asyncio.create_task(_ask(comparison, answer, prompt, pk))
    try:
        while is_wanted and not work.done():
            await asyncio.wait({work}, timeout=KEEP_SECONDS)
            is_wanted = await in_thread(_keep, comparison)
    finally:
        if not work.done():
            work.cancel()
        await asyncio.wait({work})
        answer["is_writing"] = False
    if is_wanted:
        work.result()
    return is_wanted and await in_thread(_keep, comparison)


async def _ask(comparison: Comparison, answer: dict[str, Any], prompt: str, pk: int) -> None:
    """Write into ``answer`` as it comes; what the server does wrong becomes its ``error``."""
    started = time.perf_counter()
    try:
        deployment, client = await in_thread(_open, comparison, pk)
        stream = _stream(comparison, deployment, client, prompt)
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                _take(answer, delta, time.perf_counter() - started)
    except UserError as error:
        answer["error"] = str(error)
    answer["seconds"] = round(time.perf_counter() - started, 3)
    writing = answer["seconds"] - answer.get("first_token_seconds", 0)
    if answer["num_tokens"] > 1 and writing > 0:
        answer["tokens_per_second"] = round((answer["num_tokens"] - 1) / writing, 2)


def _stream(
    comparison: Comparison, deployment: Deployment, client: MeteredClient, prompt: str
) -> Any:
    how, dialect = deployment.how, DIALECTS[deployment.dialect]()
    messages = with_system_prompt([Message("user", prompt)], how.system_prompt)
    longest = min(comparison.max_tokens, limits_of(deployment).max_context)
    options: dict[str, Any] = {
        "max_tokens": longest,
        "temperature": comparison.temperature,
        "seed": SEED,
    }
    if not dialect.is_rendered:
        return client.stream_chat(messages, **options)
    rendered = dialect.render(messages, tools_as=how.tools_as, thinking=how.thinking)
    return client.stream_raw(rendered, stop=dialect.stop_strings, **options)


def _take(answer: dict[str, Any], delta: Delta, seconds: float) -> None:
    said = delta.thinking + delta.text
    if said:
        answer.setdefault("first_token_seconds", round(seconds, 4))
        answer["text"] += said
        answer["num_tokens"] += 1
    if delta.token_ids:
        answer.setdefault("token_ids", []).extend(delta.token_ids)
    answer["num_tokens"] = (
        delta.num_tokens or len(answer.get("token_ids", ())) or answer["num_tokens"]
    )
    answer["finish_reason"] = delta.finish_reason or answer.get("finish_reason", "")


def _open(comparison: Comparison, pk: int) -> tuple[Deployment, MeteredClient]:
    deployment = Deployment.objects.select_related("run__owner", "artifact").filter(pk=pk).first()
    if deployment is None or not deployment.is_ready:
        state = deployment.state if deployment else "gone"
        raise UserError(f"It is {state}: there is no server to ask.")
    client = MeteredClient(
        services.client_for(deployment),
        deployment,
        user_id=comparison.owner_id,
        source="comparison",
    )
    return deployment, client


def _keep(comparison: Comparison) -> bool:
    """Write what there is; False when it was stopped or deleted."""
    kept = Comparison.objects.running().filter(pk=comparison.pk)
    return kept.update(answers=comparison.answers, touched=Now()) == 1


def _end(comparison: Comparison, status: Comparison.Status, error: str) -> None:
    rows = Comparison.objects.filter(pk=comparison.pk)
    rows.update(answers=comparison.answers)
    rows.running().update(status=status, error=error, touched=Now())


def _against(
    first: dict[str, Any] | None, column: dict[str, Any], answer: dict[str, Any] | None
) -> Cell:
    if not _is_whole(first) or not _is_whole(answer):
        return Cell(column, answer, same=_text(answer))
    one, other = _text(first), _text(answer)
    place = divergence(one, other)
    if place is None:
        return Cell(column, answer, same=other, verdict="the same, character for character")
    said = f"differs from character {place + 1} on"
    token = _first_other_token(first or {}, answer or {})
    if token is not None:
        said = f"differs from token {token + 1}, character {place + 1} on"
    return Cell(column, answer, same=other[:place], rest=other[place:] or "∎", verdict=said)


def _first_other_token(one: dict[str, Any], other: dict[str, Any]) -> int | None:
    """None where a server tells no tokens, or the same ones."""
    ours, theirs = one.get("token_ids"), other.get("token_ids")
    if not ours or not theirs or ours == theirs:
        return None
    pairs = zip(ours, theirs, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _is_whole(answer: dict[str, Any] | None) -> bool:
    return (
        bool(answer) and not (answer or {}).get("is_writing") and not (answer or {}).get("error")
    )


def _text(answer: dict[str, Any] | None) -> str:
    return str(answer["text"]) if answer else ""


def _means(answers: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    whole = [answer for answer in answers if answer and _is_whole(answer)]

    def mean(name: str) -> float | None:
        told = [answer[name] for answer in whole if name in answer]
        return sum(told) / len(told) if told else None

    return {
        "num_answers": len(whole),
        "num_failed": sum(bool(answer and answer.get("error")) for answer in answers),
        "tokens_per_second": mean("tokens_per_second"),
        "first_token_seconds": mean("first_token_seconds"),
        "num_tokens": mean("num_tokens"),
    }
