"""Answers that were chosen to learn from, and pairs of a better and a worse one: JSONL files.

Texts are what the model wrote, thinking included; ``messages`` is the conversation as it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from kos.data.lines import read_lines
from kos.data.rubrics import Frozen
from kos.errors import UserError
from kos.files import replace_when_whole

ANSWERS, PAIRS = "answers.jsonl", "pairs.jsonl"


class Said(Frozen):
    """One message of a conversation."""

    role: str = Field(min_length=1)
    content: str


class GradedAnswer(Frozen):
    """An answer with its score. ``is_cut``: it reached the token limit and has no end.

    ``is_chosen`` is False for one that is kept to compare others with, not to be learnt.
    """

    id: str = Field(min_length=1)
    messages: tuple[Said, ...] = Field(min_length=1)
    answer: str
    num_tokens: int = Field(0, ge=0)
    score: float | None = None
    is_cut: bool = False
    is_chosen: bool = True


class PreferencePair(Frozen):
    """``chosen`` is better than ``rejected``; ``why`` says what the worse one lacks."""

    id: str = Field(min_length=1)
    messages: tuple[Said, ...] = Field(min_length=1)
    chosen: str = Field(min_length=1)
    rejected: str
    why: Literal["", "wrong", "long"] = ""
    chosen_tokens: int = Field(0, ge=0)
    rejected_tokens: int = Field(0, ge=0)
    is_rejected_cut: bool = False


R = TypeVar("R", GradedAnswer, PreferencePair)


def write(path: Path, rows: Iterable[R]) -> None:
    """Write the file ``path``, whole or not at all."""
    with replace_when_whole(path) as file:
        file.writelines(row.model_dump_json().encode() + b"\n" for row in rows)


def read(path: Path, row: type[R]) -> list[R]:
    """All rows; UserError names the line that is none, or says that there are none."""
    found = []
    for line in read_lines(path):
        try:
            found.append(row.model_validate_json(line.text))
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"])) or "row"
            raise UserError(
                f"line {line.number} of {path.name} cannot be read ({place}: {problem['msg']})"
            ) from error
    if not found:
        raise UserError(f"{path.name} is empty: there is nothing to learn from")
    return found


def conversation(said: Iterable[Said]) -> list[dict[str, str]]:
    """Messages as a chat template takes them."""
    return [{"role": one.role, "content": one.content} for one in said]
