"""What keeps an example from being used, said where it is typed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import ValidationError

from apps.accounts.numerals import number
from kos.data.rubrics import RubricTask
from kos.grading import patterns


class Problem(NamedTuple):
    """What is wrong in one place of a task ("rubric.0.text"), as a sentence."""

    place: str
    text: str

    @property
    def where(self) -> str:
        """The place for a reader: "item 9", "turn 1", or "" for the whole."""
        field, _, rest = self.place.partition(".")
        name = {"rubric": "item", "messages": "turn"}.get(field)
        place = number(rest.partition(".")[0])
        return f"{name} {place + 1}" if name and place is not None else ""


def problems_of(task: dict[str, Any] | None) -> list[Problem]:
    """What keeps a task from being used, place by place; [] for one that is left out."""
    if task is None:
        return []
    found = []
    try:
        RubricTask.model_validate(task)
    except ValidationError as error:
        found = [Problem(_place(one["loc"]), _sentence(one)) for one in error.errors()]
    rubric: Any = task.get("rubric", ())
    for place, item in enumerate(rubric):
        regex = (item.get("check") or {}).get("regex", "")
        if regex and (wrong := patterns.problem_of(regex)):
            found.append(Problem(f"rubric.{place}.check.regex", wrong))
    for place, turn in enumerate(task.get("messages", ())):
        if not str(turn.get("content", "")).strip():
            found.append(Problem(f"messages.{place}.content", "this turn says nothing"))
    return found


def _place(loc: Iterable[int | str]) -> str:
    return ".".join(str(part) for part in loc)


def _sentence(error: Any) -> str:
    name = error["loc"][-1] if error["loc"] else ""
    if error["type"] == "string_too_short":
        return f"the {name} is empty"
    if error["type"] in ("missing", "float_type", "float_parsing"):
        return f"the {name} is missing or no number"
    return str(error["msg"]).removeprefix("Value error, ")
