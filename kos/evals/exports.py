"""Graded answers as files for other tools.

``allresults`` is what a run of openai/simple-evals leaves; ``python -m kos.evals.score`` and
simple-evals' own notebooks read it. Text of restricted prompts never leaves: their rows are left
out of ``allresults`` and stand in the CSV by id and number alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kos.evals.finished import FinishedAnswer, completion_id
from kos.evals.score import metrics
from kos.evals.scores import Failures, GradedAnswer, Mode, value

COLUMNS = (
    "prompt_id", "model", "sample", "state", "mode", "value", "score", "chars", "tokens",
    "items", "met", "ungraded", "flags", "error", "slices",
)  # fmt: skip
# A cell that begins so is a formula to a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_allresults(
    answers: Sequence[FinishedAnswer], mode: Mode, *, failures: Failures = "leave_out"
) -> dict[str, Any]:
    """``{score, metrics, htmls, convos, metadata}``; raises UserError when nothing is graded."""
    open_ = [answer for answer in answers if not answer.graded.restricted]
    found = metrics([answer.graded for answer in answers], mode, failures=failures)
    return {
        "score": found["score"],
        "metrics": found["metrics"],
        "htmls": [],
        "convos": [_conversation(answer) for answer in open_],
        "metadata": {
            "example_level_metadata": [to_row(answer) for answer in open_],
            "mode": found["mode"],
            "num_restricted": len(answers) - len(open_),
        },
    }


def to_row(answer: FinishedAnswer) -> dict[str, Any]:
    """One answer as simple-evals keeps it, with its example tags."""
    graded = answer.graded
    return {
        "score": graded.share,
        "usage": {"output_tokens": graded.num_tokens},
        "rubric_items": [
            {
                "criterion": item.text,
                "points": item.points,
                "tags": list(item.tags),
                "criteria_met": item.met,
                "explanation": item.note,
            }
            for item in graded.items
        ],
        "prompt": [dict(turn) for turn in answer.messages],
        "completion": [{"role": "assistant", "content": answer.answer}],
        "prompt_id": graded.prompt_id,
        "completion_id": completion_id(graded.prompt_id, answer.answer),
        "example_tags": list(graded.example_tags),
        "model": graded.model,
        **({"error": graded.error} if graded.error else {}),
    }


def to_csv(
    answers: Iterable[GradedAnswer], mode: Mode, *, failures: Failures = "leave_out"
) -> Iterator[str]:
    """A line an answer, with the heads first. It holds no text of prompt, rubric or answer."""
    yield _line(COLUMNS)
    for answer in answers:
        found = value(answer, mode, failures=failures)
        yield _line(
            (
                answer.prompt_id,
                answer.model,
                answer.sample,
                answer.state.value,
                mode.label,
                "" if found is None else repr(found),
                "" if answer.share is None else repr(answer.share),
                answer.chars,
                answer.num_tokens,
                len(answer.items),
                sum(item.met is True for item in answer.items),
                sum(item.met is None for item in answer.items),
                " ".join(answer.flags),
                "yes" if answer.error else "",
                _slices(answer.slices),
            )
        )


def _conversation(answer: FinishedAnswer) -> list[dict[str, Any]]:
    return [
        *[dict(turn) for turn in answer.messages],
        {"role": "assistant", "content": answer.answer},
    ]


def _slices(slices: Mapping[str, str]) -> str:
    return "; ".join(f"{family}: {name}" for family, name in slices.items())


def _line(cells: Iterable[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(_safe(cell) for cell in cells)
    return buffer.getvalue()


def _safe(cell: object) -> object:
    is_formula = isinstance(cell, str) and cell.startswith(FORMULA) and not _is_number(cell)
    return f"'{cell}" if is_formula else cell


def _is_number(text: str) -> bool:
    return text.lstrip("+-").replace(".", "", 1).replace("e-", "", 1).isdigit()
