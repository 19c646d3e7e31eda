"""What an evaluation has so far, line by line: a killed one goes on without asking twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter

from kos.events import RolloutDone, to_line

ANSWER: TypeAdapter[RolloutDone] = TypeAdapter(RolloutDone)


class Journal:
    """Answers in a file, one JSON line each. A line that was cut off does not count."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, answers: Iterable[RolloutDone]) -> None:
        """Append them; they outlive this process once this returns."""
        for answer in answers:
            self._file.write(to_line(answer))
        self._file.flush()


def read(path: Path) -> list[RolloutDone]:
    """Every whole line, in order; none when there is no file."""
    return [ANSWER.validate_json(line) for line in _whole_lines(path)]


@contextmanager
def append_to(path: Path) -> Iterator[Journal]:
    """The journal at ``path``, without what a killed process left of its last line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = sum(len(line) for line in _whole_lines(path))
    with path.open("ab") as file:
        file.truncate(size)
        yield Journal(file)


def _whole_lines(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
