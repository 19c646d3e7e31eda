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
from kos.files import replace_when_whole
from workers.lines import parse

logger = logging.getLogger(__name__)

# What the console itself says in a run's log; ``failed`` may come from either side and ends
# an attempt, so it is never left over.
NOT_THE_JOBS = ("status", "stage", "lost", "failed", "edit", "tracker")


def path_of(run: Run, attempt: int) -> Path:
    return run.folder / "logs" / f"{attempt}.jsonl"


def take_over(run: Run) -> list[bytes]:
    """The lines of an attempt before this one that never reached the log, now in our journal.

    They begin this attempt's journal, so that they survive its end as well. An attempt that ended
    before it had a journal leaves the one before it as the last.
    """
    before = (path_of(run, attempt) for attempt in range(run.attempt - 1, 0, -1))
    last = next((path for path in before if path.exists()), None)
    left = _left_over(run, last) if last is not None else []
    # Whole or not there: half of it would hide what stands whole in the one before.
    with replace_when_whole(path_of(run, run.attempt)) as file:
        file.writelines(left)
    return left


def clear(run: Run) -> None:
    """Drop the journals: every line is in the log."""
    for path in path_of(run, 0).parent.glob("*.jsonl"):
        path.unlink()


def _left_over(run: Run, path: Path) -> list[bytes]:
    attempt = int(path.stem)
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
