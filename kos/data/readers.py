"""Reading a file of prompts: which format it is, and what is wrong in which line.

A line that cannot be used is named with its number and what is wrong; the good ones are kept,
and the caller decides whether to go on without the others. What is odd but usable is a notice.
JSON lines, one JSON document, YAML rubrics, and folders of PhysicianBench tasks are read; files
may be gzip. ``kos.data.formats`` has the shapes of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from kos.data import physicianbench
from kos.data.formats import FieldMap, format_of, from_mapping
from kos.data.lines import (
    ODD,
    Line,
    bounded,
    parse,
    parse_object,
    parse_yaml,
    read_document,
    read_lines,
    refuse_unkept,
)
from kos.data.rubrics import RubricTask
from kos.errors import UserError

Kind = Literal["tasks", "labels", "finished"]
MAX_YAML_BYTES = 4_000_000
# simple-evals writes its metadata last; a document is looked through whole up to here.
SNIFFED_BYTES = 400_000_000
RUBRIC_ONLY = (
    "the file holds a rubric without a prompt; give rows of {query, rubric}, or the prompt that "
    "the rubric belongs to"
)


@dataclass(frozen=True)
class LineProblem:
    """What is wrong in one line, or row of a document; ``line`` counts from 1."""

    line: int
    text: str


def first_of(problems: Sequence[LineProblem]) -> str:
    """The first of ``problems`` in brackets, for a sentence; an empty file has none."""
    return f" (line {problems[0].line}: {problems[0].text})" if problems else ": it is empty"


@dataclass
class ImportReport:
    """What a file holds: the usable tasks, what is wrong in which line, and what is odd.

    Lines of ``problems`` were left out; those of ``notices`` were kept.
    """

    format: str
    tasks: list[RubricTask] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)
    notices: list[LineProblem] = field(default_factory=list)

    @property
    def is_restricted(self) -> bool:
        """Whether any task carries a benchmark's canary."""
        return any(task.restricted for task in self.tasks)


def read_file(
    path: Path,
    *,
    fields: FieldMap | None = None,
    query: str = "",
    told: Callable[[int], None] | None = None,
) -> ImportReport:
    """Read a file or a PhysicianBench folder; raises UserError when nothing in it is usable.

    ``fields`` says which field of a row holds what, for rows of no known format. ``query`` is
    the prompt of a file that holds nothing but a rubric. ``told`` hears the number of each row.
    """
    return _read(_rows(path, query), fields, told)


def kind_of(path: Path) -> Kind:
    """What a file holds, by its first row: prompts, people's labels, or a finished evaluation."""
    if path.is_dir() or path.name.removesuffix(".gz").endswith((".yaml", ".yml")):
        return "tasks"
    first = next(read_lines(path), None)
    if first is None:
        return "tasks"
    start = first.text if _is_row(first) else read_document(path)[:SNIFFED_BYTES]
    if b'"example_level_metadata"' in start or b'"criteria_met"' in start:
        return "finished"
    return "labels" if b'"binary_labels"' in start else "tasks"


def read_tasks(lines: Iterable[bytes | str], *, fields: FieldMap | None = None) -> ImportReport:
    """Read JSON lines; raises UserError when none is usable."""
    return _read(((line.number, line.text) for line in bounded(lines)), fields)


def _read(
    rows: Iterable[tuple[int, Any]],
    fields: FieldMap | None,
    told: Callable[[int], None] | None = None,
) -> ImportReport:
    report = ImportReport(format="")
    seen: dict[str, int] = {}
    for number, row in rows:
        if told is not None:
            told(number)
        try:
            task = _task(number, row, report, seen, fields)
        except UserError as error:
            report.problems.append(LineProblem(number, str(error)))
        else:
            seen[task.id] = number
            report.tasks.append(task)
    if not report.tasks:
        raise UserError(f"no usable prompt in the file{first_of(report.problems)}")
    return report


def _task(
    number: int, row: Any, report: ImportReport, seen: Mapping[str, int], fields: FieldMap | None
) -> RubricTask:
    if isinstance(row, str):
        raise UserError(row)
    if isinstance(row, bytes):
        row = parse_object(row)
    if not isinstance(row, dict):
        raise UserError("each row must be a JSON object")
    refuse_unkept(row)
    try:
        if fields is None:
            form = format_of(row)
            name, found = form.name, form.read(row)
        else:
            name, found = "mapping", from_mapping(fields, row)
        report.format = report.format or name
        report.notices += [LineProblem(number, text) for text in _tidied(found)]
        task = RubricTask.model_validate(found)
    except ValidationError as error:
        raise UserError(_sentence(error)) from error
    except ODD as error:
        raise UserError(f"a field is of another type than its format has: {error}") from error
    if task.id in seen:
        raise UserError(f"id {task.id!r} already stands in line {seen[task.id]}")
    report.notices += [LineProblem(number, text) for text in _odd(task)]
    return task


def _tidied(found: dict[str, Any]) -> Iterator[str]:
    """Drop what stands twice, saying so: simple-evals refuses tags that repeat."""
    for place, holder in _tag_holders(found):
        tags = holder.get("tags")
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            twice = [tag for tag, times in Counter(tags).items() if times > 1]
            if twice:
                holder["tags"] = list(dict.fromkeys(tags))
                yield f"{place} has the tag {twice[0]!r} more than once; it is kept once"


def _tag_holders(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "the prompt", found
    rubric = found.get("rubric")
    for number, item in enumerate(rubric if isinstance(rubric, list) else [], start=1):
        if isinstance(item, dict):
            yield f"rubric item {number}", item


def _odd(task: RubricTask) -> Iterator[str]:
    if task.rubric and all(item.points < 0 for item in task.rubric):
        yield (
            "every rubric item is negative, so HealthBench's score is not defined: the prompt "
            "can be trained on and is left out of evaluations"
        )
    if task.verifier is not None and task.verifier.kind == "code_tests":
        yield "its tests are kept and not run: answers stay ungraded"


def _rows(path: Path, query: str) -> Iterator[tuple[int, Any]]:
    """Numbered rows: bytes of a line, an object of a document, or a sentence of what is wrong."""
    if path.is_dir():
        found = (row for _, row in physicianbench.read_folder(path))
        return enumerate(found, start=1)
    if path.name.removesuffix(".gz").endswith((".yaml", ".yml")):
        return _of_document(_yaml(path), query)
    lines = read_lines(path)
    first = next(lines, None)
    if first is None:
        return iter(())
    if _is_row(first):
        return ((line.number, line.text) for line in chain([first], lines))
    try:
        document = parse(read_document(path))
    except UserError:
        # Neither a row nor a document: its lines are named one by one.
        return ((line.number, line.text) for line in chain([first], lines))
    return _of_document(document, query)


def _is_row(line: Line) -> bool:
    try:
        return isinstance(parse(line.text), dict)
    except UserError:
        return not line.text.lstrip().startswith((b"[", b"{"))


def _of_document(document: Any, query: str) -> Iterator[tuple[int, Any]]:
    rows = document if isinstance(document, list) else [document]
    if rows and all(isinstance(row, dict) and _is_criterion(row) for row in rows):
        if not query:
            raise UserError(RUBRIC_ONLY)
        rows = [{"query": query, "rubric": rows}]
    return enumerate(rows, start=1)


def _is_criterion(row: Mapping[str, Any]) -> bool:
    return ("weight" in row or "points" in row) and not {
        "query",
        "messages",
        "prompt",
    } & row.keys()


def _yaml(path: Path) -> Any:
    try:
        return parse_yaml(read_document(path, max_bytes=MAX_YAML_BYTES))
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from error


def _sentence(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    rest = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place or 'row'}: {problem['msg']}{rest}"
