"""The second copy of what a job says: a file beside its log, written before the pipe.

A worker that is killed takes the lines in its pipe with it, while the job's checkpoint may
already stand for them. The next attempt finds them here and says them first.
"""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from apps.runs.models import Event, Run
from workers.lines import parse

logger = logging.getLogger(__name__)

# What the console itself says in a run's log; ``failed`` may come from either side and ends
# an attempt, so it is never left over.
NOT_THE_JOBS = ("status", "stage", "lost", "failed")


def path_of(run: Run, attempt: int) -> Path:
    return run.folder / "logs" / f"{attempt}.jsonl"


def take_over(run: Run) -> list[bytes]:
    """The lines of the attempt before this one that never reached the log, now in our journal.

    They begin this attempt's journal, so that they survive its end as well.
    """
    left = _left_over(run, run.attempt - 1)
    fresh = path_of(run, run.attempt)
    fresh.parent.mkdir(parents=True, exist_ok=True)
    fresh.write_bytes(b"".join(left))
    return left


def clear(run: Run) -> None:
    """Drop the journals: every line is in the log."""
    for path in path_of(run, 0).parent.glob("*.jsonl"):
        path.unlink()


def _left_over(run: Run, attempt: int) -> list[bytes]:
    path = path_of(run, attempt)
    if not path.exists():
        return []
    # One line is one event, so counting tells how far the log got.
    kept = Event.objects.filter(run=run, attempt=attempt).exclude(kind__in=NOT_THE_JOBS).count()
    with path.open("rb") as lines:
        return [line for line in islice(lines, kept, None) if _is_worth_saying(line)]


def _is_worth_saying(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False  # the process was killed while it wrote
    try:
        return parse(line).kind != "failed"
    except ValidationError:
        # What ended the last attempt must not end every one after it.
        logger.warning("a line that is no event is left out: %r", line[:200])
        return False
