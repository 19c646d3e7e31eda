"""A job's own process: ``python -m workers.child``, with a JSON ``Spec`` on stdin.

It writes one JSON line an event to its journal and on what was its standard output; what
the job prints goes to standard error, the attempt's log. It knows no database. A crash in here (out of
memory, a fault in a kernel) is a return code to the worker and nothing more.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kos.config import JOBS
from kos.digests import digest_of
from kos.errors import CancelledError, UserError
from kos.events import Event, Saved, find_secret, to_json
from kos.files import no_room

DONE, FAILED, CANCELLED = 0, 1, 3
PR_SET_PDEATHSIG = 1


class Spec(BaseModel):
    """What the worker hands to the process."""

    model_config = ConfigDict(frozen=True)

    kind: str
    work: str  # "module:function"
    config: dict[str, Any]
    inputs: dict[str, Path]
    folder: Path
    seed: int
    journal: Path  # the events' second copy
    parent: int  # process id of the worker
    # By name; they exist here alone, never in an event or a log.
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)


@dataclass
class PipedJob:
    """The ``kos.events.Job`` of this process."""

    folder: Path
    inputs: Mapping[str, Path]
    seed: int
    outs: tuple[IO[str], IO[str]]  # the journal, then the pipe
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_stopping: bool = field(default=False, init=False)

    def secret(self, name: str) -> str:
        return find_secret(self.secrets, name)

    def emit(self, event: Event) -> None:
        line: dict[str, Any] = {"at": time.time(), "data": to_json(event)}
        if isinstance(event, Saved):
            # Here, not in the worker: hashing gigabytes must not keep it from its heartbeat.
            digest = digest_of(self.folder / event.path)
            line |= {"digest": digest.sha256, "size_bytes": digest.size_bytes}
        self.say(line, self.outs)
        self.check()

    def check(self) -> None:
        if self.is_stopping:
            raise CancelledError

    def say(self, line: Mapping[str, Any], outs: Sequence[IO[str]]) -> None:
        text = json.dumps(clean(line), allow_nan=False) + "\n"
        for out in outs:
            out.write(text)
            out.flush()


def clean(value: Any) -> Any:
    """``value`` as PostgreSQL's jsonb takes it: no NaN, no infinity, no NUL, no half surrogate."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        case Mapping():
            return {str(key): clean(one) for key, one in value.items()}
        case list() | tuple():
            return [clean(one) for one in value]
    return value


def work(spec: Spec, job: PipedJob) -> int:
    """Do the job; returns the exit code, after a last line that says how it ended."""
    try:
        config = JOBS[spec.kind].model_validate(spec.config)
        module, _, name = spec.work.partition(":")
        getattr(importlib.import_module(module), name)(config, job)
    except CancelledError:
        return CANCELLED
    except (UserError, ValidationError) as error:
        _write_failure(job, str(error), is_user_error=True)
        raise
    except Exception as error:
        full = no_room(error, job.folder)
        said = full or f"{type(error).__name__}: {error}"
        _write_failure(job, said, is_user_error=bool(full))
        raise
    # What is still to come, giving gigabytes back, may take long or even fail: the work is done.
    _write_end(job, {"kind": "done"})
    return DONE


def main() -> int:
    pipe = _take_stdout()
    spec = Spec.model_validate_json(sys.stdin.buffer.read())
    _die_with(spec.parent)
    with spec.journal.open("a", encoding="utf-8") as journal:
        job = PipedJob(spec.folder, spec.inputs, spec.seed, (journal, pipe), secrets=spec.secrets)

        def stop(signum: int, frame: object) -> None:
            job.is_stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return work(spec, job)


def _take_stdout() -> IO[str]:
    """Keep the real standard output for events; prints of any library go to the log."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", encoding="utf-8")


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when the worker's thread ends, whatever ended it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the worker ended before its job began")


def _write_failure(job: PipedJob, error: str, *, is_user_error: bool) -> None:
    data = {
        "kind": "failed",
        "error": error,
        "traceback": traceback.format_exc(),
        "is_user_error": is_user_error,
    }
    _write_end(job, data)


def _write_end(job: PipedJob, data: Mapping[str, Any]) -> None:
    # Not into the journal, which never hands it on, and whose disk may be what is full.
    _, pipe = job.outs
    job.say({"at": time.time(), "data": data}, (pipe,))


if __name__ == "__main__":
    sys.exit(main())
