"""Finished evaluations made elsewhere, read as graded answers.

Two shapes of openai/simple-evals: one JSON line an answer (``prompt_id, example_tags,
completion, rubric_items[criterion, points, tags, criteria_met]``), and the ``*_allresults.json``
that a run of it leaves, which holds the same rows without the example tags.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kos.data.lines import (
    Line,
    parse,
    parse_object,
    read_document,
    read_lines,
    refuse_unkept,
)
from kos.errors import UserError
from kos.evals.scores import GradedAnswer
from kos.events import ItemGrade

if TYPE_CHECKING:
    from kos.data.rubrics import RubricTask

FAMILIES = {"theme": "theme", "physician_agreed_category": "category"}
IMPORTED = "imported"


@dataclass(frozen=True)
class FinishedAnswer:
    """A graded answer with the text it came with, which ``graded`` holds none of."""

    graded: GradedAnswer
    messages: tuple[Mapping[str, Any], ...]
    answer: str


@dataclass(frozen=True)
class FinishedRun:
    """A run made elsewhere. ``stated`` are the numbers its own file prints."""

    answers: tuple[FinishedAnswer, ...]
    stated: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def graded(self) -> list[GradedAnswer]:
        """The answers without their text."""
        return [answer.graded for answer in self.answers]


def read_graded(path: Path, *, model: str = "") -> list[GradedAnswer]:
    """The graded answers of either shape; raises UserError with the number of a bad line.

    Several rows of one prompt are its samples, in the order of the file.
    """
    return read_finished(path, model=model).graded


def read_finished(
    path: Path, *, model: str = "", tasks: Mapping[str, RubricTask] | None = None
) -> FinishedRun:
    """The run in ``path``. ``tasks``, by prompt id, lend tags and slices where rows have none."""
    name = model or path.name.split(".")[0]
    lines = read_lines(path)
    first = next(lines, None)
    if first is None:
        raise UserError(f"{path.name} is empty")
    if not _is_row(first):
        found = _of_document(parse_whole(path), name)
    else:
        rows = ((line.number, _row(line)) for line in chain([first], lines))
        found = FinishedRun(tuple(_answers(rows, name)), {})
    return with_tasks(found, tasks) if tasks else found


def parse_whole(path: Path) -> dict[str, Any]:
    """The one JSON object that ``path`` holds."""
    document = parse(read_document(path))
    if not isinstance(document, dict):
        raise UserError(f"{path.name} holds no JSON object")
    return document


def with_tasks(run: FinishedRun, tasks: Mapping[str, RubricTask]) -> FinishedRun:
    """The run with each answer's tags, slices and restriction taken from its task."""
    missing = [a.graded.prompt_id for a in run.answers if a.graded.prompt_id not in tasks]
    note = (f"{len(missing)} answers are to prompts that the dataset does not hold",)
    return FinishedRun(
        answers=tuple(_sliced(answer, tasks) for answer in run.answers),
        stated=run.stated,
        notes=(*run.notes, *(note if missing else ())),
    )


def completion_id(prompt_id: str, answer: str) -> str:
    """simple-evals' name of an answer."""
    return hashlib.sha256((prompt_id + answer).encode()).hexdigest()


def _sliced(answer: FinishedAnswer, tasks: Mapping[str, RubricTask]) -> FinishedAnswer:
    graded = answer.graded
    task = tasks.get(graded.prompt_id)
    if task is None:
        return answer
    sliced = GradedAnswer(
        **{
            **{name: getattr(graded, name) for name in graded.__dataclass_fields__},
            "example_tags": graded.example_tags or task.tags,
            "slices": task.slices,
            "restricted": graded.restricted or task.restricted,
            "num_turns": task.n_turns,
        }
    )
    return FinishedAnswer(sliced, answer.messages, answer.answer)


def _is_row(line: Line) -> bool:
    # A document may be pretty-printed, so its first line need not be JSON by itself.
    stripped = line.text.strip()
    if not (stripped.startswith(b"{") and stripped.endswith(b"}")):
        return not stripped.startswith((b"{", b"["))
    return b'"example_level_metadata"' not in stripped


def _row(line: Line) -> dict[str, Any]:
    try:
        return parse_object(line.text)
    except UserError as error:
        raise UserError(f"line {line.number}: {error}") from error


def _of_document(document: Mapping[str, Any], model: str) -> FinishedRun:
    metadata = document.get("metadata")
    rows = metadata.get("example_level_metadata") if isinstance(metadata, dict) else None
    if not isinstance(rows, list) or not rows:
        raise UserError(
            "neither JSON lines of graded answers nor simple-evals' allresults file: the latter "
            "has metadata.example_level_metadata, a list of rows"
        )
    answers = tuple(_answers(enumerate(rows, start=1), model, unit="row"))
    stated = {"score": document.get("score"), **_mapping(document.get("metrics"))}
    has_tags = any(answer.graded.example_tags for answer in answers)
    note = "the file holds no example tags; choose the dataset its prompts are from to slice it"
    return FinishedRun(answers, stated, () if has_tags else (note,))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _answers(
    rows: Iterable[tuple[int, Any]], model: str, *, unit: str = "line"
) -> Iterable[FinishedAnswer]:
    seen: Counter[tuple[str, str]] = Counter()
    for number, row in rows:
        try:
            answer = _answer(row, model, seen)
        except UserError as error:
            raise UserError(f"{unit} {number}: {error}") from error
        yield answer


def _answer(row: Any, model: str, seen: Counter[tuple[str, str]]) -> FinishedAnswer:
    if not isinstance(row, dict):
        raise UserError("each row must be a JSON object")
    refuse_unkept(row)
    prompt = row.get("prompt_id")
    if not isinstance(prompt, str) or not prompt:
        raise UserError("prompt_id must be a text that is not empty")
    name = str(row.get("model") or model)
    sample = seen[name, prompt]
    seen[name, prompt] += 1
    tags = _tags(row.get("example_tags"), "example_tags")
    text = _text(row.get("completion", ""))
    error = row.get("error") or ""
    graded = GradedAnswer(
        prompt_id=prompt,
        model=name,
        sample=sample,
        items=_items(row.get("rubric_items"), has_failed=bool(error)),
        chars=len(text),
        num_tokens=_tokens(row.get("usage")),
        flags=() if text.strip() or "completion" not in row else ("empty",),
        error=str(error),
        example_tags=tags,
        slices=_slices(tags),
        restricted="canary" in row or row.get("restricted") is True,
    )
    return FinishedAnswer(graded, _messages(row.get("prompt")), text)


def _items(rows: Any, *, has_failed: bool) -> tuple[ItemGrade, ...]:
    if rows is None and has_failed:
        return ()
    if not isinstance(rows, list) or not rows:
        raise UserError("rubric_items must be a list that is not empty")
    return tuple([_item(number, row) for number, row in enumerate(rows, start=1)])


def _item(number: int, row: Any) -> ItemGrade:
    if not isinstance(row, dict):
        raise UserError(f"rubric item {number} is not an object")
    points: Any = row.get("points")
    met = row.get("criteria_met", "")
    if type(points) not in (int, float) or not math.isfinite(points):
        raise UserError(f"rubric item {number}: points must be a number, found {points!r}")
    # A verdict under another name once made every score of a public run 0.
    if met is not None and type(met) is not bool:
        found = f"found {met!r}" if "criteria_met" in row else "which is not there"
        raise UserError(f"rubric item {number}: criteria_met must be true, false or null, {found}")
    text, tags = str(row.get("criterion") or ""), row.get("tags")
    return ItemGrade(
        key_of(text),
        text,
        points,
        met,
        row.get("grader") or IMPORTED,
        note=row.get("explanation") or "",
        tags=_tags(tags, f"the tags of rubric item {number}") if tags else (),
    )


def key_of(criterion: str) -> str:
    """The key of an imported item: equal criteria share it, whatever prompt they stand in."""
    return f"c-{hashlib.sha256(criterion.encode()).hexdigest()[:10]}"


def _tags(found: Any, name: str) -> tuple[str, ...]:
    if not found and found in (None, []):
        return ()
    if not isinstance(found, list) or {type(tag) for tag in found} != {str}:
        raise UserError(f"{name} must be a list of texts")
    if len(set(found)) < len(found):
        twice = next(tag for tag, times in Counter(found).items() if times > 1)
        raise UserError(f"{name}: {twice!r} stands there twice")
    return tuple(found)


def _slices(tags: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in tags:
        start, _, rest = tag.partition(":")
        if rest and start in FAMILIES:
            found.setdefault(FAMILIES[start], rest)
        elif rest and start in ("use_case", "specialty"):
            found.setdefault(start.replace("_", " "), rest)
    return found


def _text(completion: Any) -> str:
    """The final answer: the text itself, or the last message of a list."""
    if isinstance(completion, list) and completion and isinstance(completion[-1], dict):
        completion = completion[-1].get("content")
    if completion is None:
        return ""
    if not isinstance(completion, str):
        raise UserError(
            f"completion must be a text or a list of messages, found {type(completion).__name__}"
        )
    return completion


def _messages(prompt: Any) -> tuple[Mapping[str, Any], ...]:
    turns = prompt if isinstance(prompt, list) else []
    return tuple(turn for turn in turns if isinstance(turn, dict))


def _tokens(usage: Any) -> int:
    found = usage.get("output_tokens") if isinstance(usage, dict) else None
    return found if isinstance(found, int) else 0
