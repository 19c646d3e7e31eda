"""Keeping answers: what the harness and jobs report becomes traces, with grades and flags."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.runs.models import Run
from apps.traces.models import Grade, Trace, TraceFlag, question_of

HIDDEN = "Benchmark text is not kept."
Origin = Trace.Origin
# What a tool or a turn tells in words; the numbers of a restricted row stay.
SPOKEN = ("raw", "thinking", "answer", "rendered", "observation", "notice")


def record(
    run: Run | None,
    attempt: int,
    rollouts: Iterable[Mapping[str, Any]],
    *,
    origin: str = "",
) -> list[Trace]:
    """Keep rollout events (``kos.events.RolloutDone`` as JSON) as traces with their grades.

    A step done again after a crash replaces what its first try recorded. Rows of a restricted
    dataset keep their numbers and the answer; whatever may repeat the prompt goes. ``origin`` is one of ``Trace.Origin``; by
    default what the run's kind says. ``run`` is None where no run served the answer.
    """
    origin = origin or _origin_of(run)
    kept = []
    for data in rollouts:
        trace = _trace(run, attempt, data, origin)
        with transaction.atomic():
            if run is not None:
                _same_place(trace).delete()
            trace.save(force_insert=True)
            Grade.objects.bulk_create(_grades(trace, data["items"]))
        kept.append(trace)
    return kept


def raise_flags(
    trace: Trace, user: User, kinds: Collection[str], *, note: str = ""
) -> list[TraceFlag]:
    """Let ``kinds`` be what this user says is wrong with a trace; what they took back goes.

    A flag that somebody settled stays settled.
    """
    with transaction.atomic():
        TraceFlag.objects.open().filter(trace=trace, by=user).exclude(kind__in=kinds).delete()
        return [
            TraceFlag.objects.update_or_create(
                trace=trace, by=user, kind=kind, defaults={"note": clean(note)}
            )[0]
            for kind in kinds
        ]


def settle_flags(trace: Trace) -> int:
    """Somebody looked at the trace: its open flags are settled; how many there were."""
    return TraceFlag.objects.open().filter(trace=trace).update(settled=timezone.now())


def _origin_of(run: Run | None) -> str:
    if run is None:
        return Origin.API
    return {"evaluate": Origin.EVALUATION, "deploy": Origin.CHAT}.get(run.kind, Origin.ROLLOUT)


def _same_place(trace: Trace) -> Any:
    return Trace.objects.filter(
        run=trace.run,
        model=trace.model,
        step=trace.step,
        example_id=trace.example_id,
        sample=trace.sample,
    )


def _trace(run: Run | None, attempt: int, data: Mapping[str, Any], origin: str) -> Trace:
    is_restricted = _is_restricted(run)
    messages = [] if is_restricted else clean(list(data["messages"]))
    turns, tools = clean(list(data.get("turns", ()))), clean(list(data.get("tools", ())))
    return Trace(
        run=run,
        attempt=attempt,
        origin=origin,
        model=data["model"],
        step=data["step"],
        example_id=data["example_id"],
        sample=data["sample"],
        messages=messages,
        question=question_of(messages),
        answer=clean(data["answer"]),
        thinking="" if is_restricted else clean(data["thinking"]),
        raw="" if is_restricted else clean(data["raw"]),
        turns=[_without_words(turn) for turn in turns] if is_restricted else turns,
        tools=[_without_words(tool) for tool in tools] if is_restricted else tools,
        tool_names=sorted({tool["call"]["name"] for tool in tools}),
        sources=[] if is_restricted else clean(list(data.get("sources", ()))),
        versions=clean(dict(data.get("versions", {}))),
        num_tokens=data["num_tokens"],
        num_answer_tokens=data["num_answer_tokens"],
        seconds=_seconds(turns, tools),
        stop_reason=data["stop_reason"],
        score=data["score"],
        reward=data["reward"],
        advantage=data["advantage"],
        components=dict(data["components"]),
        flags=list(data["flags"]),
        error=clean(data["error"]),
        is_restricted=is_restricted,
    )


def _grades(trace: Trace, items: Iterable[Mapping[str, Any]]) -> list[Grade]:
    is_hidden = trace.is_restricted
    return [
        Grade(
            trace=trace,
            position=position,
            key=item["key"],
            text=HIDDEN if is_hidden else clean(item["text"]),
            points=item["points"],
            met=item["met"],
            grader=item["grader"],
            note="" if is_hidden else clean(item["note"]),
            tags=list(item.get("tags", ())),
            raw="" if is_hidden else clean(item.get("raw", "")),
            attempts=item.get("attempts", 1),
            seconds=item.get("seconds", 0.0),
            num_tokens=item.get("num_tokens", 0),
            is_cached=item.get("is_cached", False),
        )
        for position, item in enumerate(items)
    ]


def _without_words(part: Mapping[str, Any]) -> dict[str, Any]:
    """A turn or tool record that keeps its numbers, names and times alone."""
    kept: dict[str, Any] = {name: "" if name in SPOKEN else value for name, value in part.items()}
    # Token ids are the text in another spelling.
    kept |= {name: [] for name in ("token_ids", "logprobs") if name in kept}
    if "call" in kept:
        kept["call"] = kept["call"] | {"arguments": ""}
    if "calls" in kept:
        kept["calls"] = [call | {"arguments": ""} for call in kept["calls"]]
    return kept


def _seconds(
    turns: Iterable[Mapping[str, Any]], tools: Iterable[Mapping[str, Any]]
) -> float | None:
    ends = [part["started"] + part["seconds"] for part in (*turns, *tools)]
    return max(ends) if ends else None


def _is_restricted(run: Run | None) -> bool:
    return run is not None and run.dataset is not None and run.dataset.is_restricted


def clean(value: Any) -> Any:
    """Text, or JSON of any depth, without what PostgreSQL cannot hold: NUL, half a pair."""
    match value:
        case str():
            if value.isascii() and "\x00" not in value:
                return value
            return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
        case list() | tuple():
            return [clean(one) for one in value]
        case dict():
            return {clean(name): clean(one) for name, one in value.items()}
    return value
