"""Keeping answers: a job's rollouts become traces with their grades."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apps.runs.models import Run
from apps.traces.models import Grade, Trace

HIDDEN = "Benchmark text is not kept."


def record(run: Run, attempt: int, rollouts: Iterable[Mapping[str, Any]]) -> list[Trace]:
    """Keep rollout events (``kos.events.RolloutDone`` as JSON) as traces with their grades.

    A step done again after a crash replaces what its first try recorded. Rows of a restricted
    dataset keep their numbers and lose their text.
    """
    kept = []
    for data in rollouts:
        trace = _trace(run, attempt, data)
        Trace.objects.filter(
            run=run,
            model=trace.model,
            step=trace.step,
            example_id=trace.example_id,
            sample=trace.sample,
        ).delete()
        trace.save(force_insert=True)
        Grade.objects.bulk_create(_grades(trace, data["items"]))
        kept.append(trace)
    return kept


def _trace(run: Run, attempt: int, data: Mapping[str, Any]) -> Trace:
    is_restricted = _is_restricted(run)
    return Trace(
        run=run,
        attempt=attempt,
        model=data["model"],
        step=data["step"],
        example_id=data["example_id"],
        sample=data["sample"],
        messages=[] if is_restricted else list(data["messages"]),
        answer=_clean(data["answer"]),
        thinking=_clean(data["thinking"]),
        raw=_clean(data["raw"]),
        num_tokens=data["num_tokens"],
        num_answer_tokens=data["num_answer_tokens"],
        stop_reason=data["stop_reason"],
        score=data["score"],
        reward=data["reward"],
        advantage=data["advantage"],
        components=dict(data["components"]),
        flags=list(data["flags"]),
        error=data["error"],
        is_restricted=is_restricted,
    )


def _grades(trace: Trace, items: Iterable[Mapping[str, Any]]) -> list[Grade]:
    return [
        Grade(
            trace=trace,
            position=position,
            key=item["key"],
            text=HIDDEN if trace.is_restricted else item["text"],
            points=item["points"],
            met=item["met"],
            grader=item["grader"],
            note="" if trace.is_restricted else item["note"],
        )
        for position, item in enumerate(items)
    ]


def _is_restricted(run: Run) -> bool:
    return run.dataset is not None and run.dataset.is_restricted


def _clean(text: str) -> str:
    # PostgreSQL's text holds every character but NUL.
    return text.replace("\x00", "\ufffd")
