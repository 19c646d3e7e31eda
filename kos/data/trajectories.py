"""What a model said on the way to an answer: each turn's prompt as it read it, and its words.

A file of trajectories is JSONL, one ``Trajectory`` a line. The prompts are whole texts, rendered
by the dialect that will serve the model, so training reads to the byte what serving will send.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, ValidationError

from kos.data.lines import read_lines
from kos.data.rubrics import Frozen
from kos.errors import UserError
from kos.files import replace_when_whole

FILE = "trajectories.jsonl"


class Exchange(Frozen):
    """One generation: ``completion`` is what follows ``prompt``, without the ending token."""

    prompt: str = Field(min_length=1)
    completion: str = Field(min_length=1)


class Trajectory(Frozen):
    """One question with all turns of the model; ``tool`` is the tool that it calls for."""

    id: str
    question: str
    tool: str = ""
    turns: tuple[Exchange, ...] = Field(min_length=1)


def write(folder: Path, trajectories: Iterable[Trajectory]) -> Path:
    """Write the file in ``folder``, whole or not at all."""
    with replace_when_whole(folder / FILE) as file:
        file.writelines(one.model_dump_json().encode() + b"\n" for one in trajectories)
    return folder / FILE


def read(folder: Path) -> list[Trajectory]:
    """All trajectories in ``folder``; UserError names the line that is none."""
    found = []
    for line in read_lines(folder / FILE):
        try:
            found.append(Trajectory.model_validate_json(line.text))
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            raise UserError(
                f"line {line.number} of {FILE} is no trajectory ({place}: {problem['msg']})"
            ) from error
    return found
