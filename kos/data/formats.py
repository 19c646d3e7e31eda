"""The shapes that rows of prompts come in, each turned into a ``RubricTask``'s fields.

A format says by the fields of a row whether the row is its own; the first that does is taken.
``Mapping`` is for files of no known shape: the user says which field holds what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kos.data import physicianbench
from kos.errors import UserError

CRITERION_NAMES = ("criterion", "criterion_text", "requirement", "criteria", "text")
POINTS_NAMES = ("points", "weight")
Row = Mapping[str, Any]
Fields = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """One shape: how a row of it is known, and how it is read."""

    name: str
    label: str
    matches: Callable[[Row], bool]
    read: Callable[[Row], Fields]


@dataclass(frozen=True)
class FieldMap:
    """Which field of a row holds what. ``prompt`` is a text or a list of messages.

    A rubric is a list of objects; criterion and points are found under their usual names.
    ``answer`` makes an exact verifier, or one of ``verifier`` kind.
    """

    prompt: str
    id: str = ""
    rubric: str = ""
    answer: str = ""
    verifier: str = "exact"
    reference: str = ""
    tags: str = ""
    specialty: str = ""
    split: str = ""


def format_of(row: Row) -> Format:
    """The format of a row; raises UserError that says what is looked for."""
    for found in FORMATS:
        if found.matches(row):
            return found
    raise UserError(
        "neither Kos (messages, rubric) nor HealthBench (prompt, rubrics) nor HealthBench "
        "Professional (conversation, rubric_items) nor a rubric file (query, rubric) nor a task "
        "with an answer (prompt, answer) nor PhysicianBench (task, checkpoints): it has "
        f"{_names(row) or 'no'} fields"
    )


def from_mapping(fields: FieldMap, row: Row) -> Fields:
    """The row read as ``fields`` says; raises UserError when the prompt is not there."""
    if fields.prompt not in row:
        raise UserError(f"no field {fields.prompt!r} for the prompt; the row has {_names(row)}")
    found: Fields = {
        "id": str(row.get(fields.id) or "") or _hashed(row[fields.prompt]),
        "messages": messages(row[fields.prompt]),
        "rubric": items(_list(row, fields.rubric)) if fields.rubric else [],
        "split": row.get(fields.split) or "train",
        "tags": row.get(fields.tags) or [],
        "specialty": row.get(fields.specialty) or "",
        "reference": row.get(fields.reference) or "",
        "restricted": "canary" in row,
        "canary": str(row.get("canary") or ""),
    }
    if fields.answer and row.get(fields.answer) not in (None, ""):
        found["verifier"] = {"kind": fields.verifier, "answer": _text(row[fields.answer])}
    return found


def _names(row: Row) -> str:
    """Some of the row's fields; a name may be a whole file that lost its quotes."""
    return ", ".join(sorted(str(name)[:40] for name in row)[:8])


def messages(prompt: Any) -> list[Any]:
    """A prompt as messages: as it is, or one message of the user's."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list):
        raise UserError(f"the prompt must be a text or a list, found {type(prompt).__name__}")
    return prompt


def items(rows: Sequence[Any], *, consensus: str = "cluster:") -> list[Fields]:
    """Rubric items whose key is a hash of the criterion: equal criteria share it."""
    found: dict[str, Fields] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UserError(f"rubric item {number} is not an object")
        text = next((row[name] for name in CRITERION_NAMES if row.get(name)), None)
        if text is None:
            raise UserError(
                f"rubric item {number} has no criterion under any of {', '.join(CRITERION_NAMES)}"
            )
        key = f"c-{hashlib.sha256(str(text).encode()).hexdigest()[:10]}"
        key = key if key not in found else f"{key}-{number}"
        tags = row.get("tags") or []
        found[key] = {
            "key": key,
            "text": text,
            "points": next((row[name] for name in POINTS_NAMES if name in row), None),
            "tags": tags,
            "consensus_key": _after(tags, consensus),
        }
        if row.get("check"):
            found[key]["check"] = row["check"]
    return list(found.values())


def _from_kos(row: Row) -> Fields:
    return dict(row)


def _from_healthbench(row: Row) -> Fields:
    ideal = row.get("ideal_completions_data") or {}
    ideal = ideal if isinstance(ideal, dict) else {}
    group = str(ideal.get("ideal_completions_group") or "")
    others = ideal.get("ideal_completions_ref_completions") or []
    references = [
        {"text": text, "kind": "model_reference", "group": group}
        for text in others
        if isinstance(text, str) and text
    ]
    first = ideal.get("ideal_completion") or ""
    if first:
        references.insert(0, {"text": first, "kind": "physician", "group": group})
    return {
        "id": row.get("prompt_id"),
        "messages": _list(row, "prompt"),
        "rubric": items(_list(row, "rubrics")),
        "split": "test",
        "tags": _list(row, "example_tags"),
        "reference": first,
        "references": references,
        "sources": ["HealthBench, arXiv:2505.08775"],
        "licence": "MIT",
        "restricted": "canary" in row,
        "canary": str(row.get("canary") or ""),
    }


def _from_professional(row: Row) -> Fields:
    conversation = row.get("conversation")
    specialty = str(row.get("specialty", ""))
    named = {name: str(row.get(name) or "other") for name in ("use_case", "type", "difficulty")}
    answer = row.get("physician_response") or ""
    tags = {**named, "specialty": specialty}
    return {
        "id": row.get("id"),
        "messages": _list(conversation if isinstance(conversation, dict) else {}, "messages"),
        "rubric": items(_list(row, "rubric_items")),
        "split": "test",
        **named,
        "specialty": specialty,
        "tags": [f"{name}:{value}" for name, value in tags.items() if value not in ("", "other")],
        "reference": answer,
        "references": [{"text": answer, "kind": "physician"}] if answer else [],
        "sources": ["HealthBench Professional, arXiv:2604.27470"],
        "licence": "MIT",
        "restricted": "canary" in row,
        "canary": str(row.get("canary") or ""),
    }


def _from_query(row: Row) -> Fields:
    """``{query, rubric: [{weight, requirement}]}`` of The LLM Data Company's rubric library."""
    rubric = row.get("rubric")
    rubric = rubric.get("criteria") if isinstance(rubric, dict) else rubric
    if not isinstance(rubric, list):
        raise UserError("rubric must be a list of {weight, requirement}")
    return {
        "id": str(row.get("id") or "") or _hashed(row["query"]),
        "messages": messages(row["query"]),
        "rubric": items(rubric),
        "split": row.get("split") or "train",
        "tags": row.get("tags") or [],
        "reference": row.get("reference") or "",
        "restricted": "canary" in row,
        "canary": str(row.get("canary") or ""),
    }


def _from_answered(row: Row) -> Fields:
    """Prompt and answer, as Kimi k1.5's verifiable tasks are written."""
    prompt = _first(row, PROMPTS)
    kind, params = _verifier_kind(row)
    domain, level = row.get("domain"), row.get("level", row.get("difficulty"))
    rate = row.get("pass_rate")
    solution = row.get("solution") or ""
    return {
        "id": str(row.get("id") or "") or _hashed(prompt),
        "messages": messages(prompt),
        "rubric": [],
        "verifier": {"kind": kind, "answer": _text(_first(row, ANSWERS, "")), "params": params},
        "split": row.get("split") or "train",
        "tags": [*(row.get("tags") or []), *([f"domain:{domain}"] if domain else [])],
        "level": level if type(level) is int else None,
        "measured": None if rate is None else {"pass_rate": rate},
        "references": [{"text": solution, "kind": "gold"}] if solution else [],
        "restricted": "canary" in row,
        "canary": str(row.get("canary") or ""),
    }


def _verifier_kind(row: Row) -> tuple[str, Fields]:
    given = row.get("verifier")
    if isinstance(given, dict):
        return str(given.get("kind", "exact")), physicianbench.object_of(given, "params")
    params = {
        name: row[name] for name in ("pattern", "schema", "tests", "rtol", "atol") if name in row
    }
    if isinstance(given, str) and given:
        return given, params
    for name, kind in (("tests", "code_tests"), ("schema", "json_schema"), ("pattern", "regex")):
        if name in params:
            return kind, params
    answer = _first(row, ANSWERS, "")
    is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
    if row.get("choices"):
        return "choice", params
    return ("numeric" if is_number else "exact"), params


def _after(tags: Any, start: str) -> str:
    found = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return next((tag.removeprefix(start) for tag in found if tag.startswith(start)), "")


def _first(row: Row, names: Sequence[str], default: Any = None) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), default)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _hashed(prompt: Any) -> str:
    return f"row-{hashlib.sha256(_text(prompt).encode()).hexdigest()[:16]}"


def _list(row: Row, name: str) -> list[Any]:
    value = row.get(name)
    if not isinstance(value, list):
        raise UserError(f"{name} must be a list, found {type(value).__name__}")
    return value


PROMPTS = ("prompt", "question", "problem", "query")
ANSWERS = ("answer", "expected_answer", "target")


def _is_answered(row: Row) -> bool:
    has_rule = bool({*ANSWERS, "verifier", "tests", "schema", "pattern"} & row.keys())
    return bool(row.keys() & set(PROMPTS)) and has_rule and "rubrics" not in row


FORMATS = (
    Format(
        "kos",
        "Kos",
        lambda row: "messages" in row and ("rubric" in row or "verifier" in row),
        _from_kos,
    ),
    Format(
        "healthbench",
        "HealthBench",
        lambda row: {"rubrics", "prompt"} <= row.keys(),
        _from_healthbench,
    ),
    Format(
        "healthbench_professional",
        "HealthBench Professional",
        lambda row: {"rubric_items", "conversation"} <= row.keys(),
        _from_professional,
    ),
    Format(
        "physicianbench", "PhysicianBench", lambda row: "checkpoints" in row, physicianbench.read
    ),
    Format("rubric", "Rubric file", lambda row: {"query", "rubric"} <= row.keys(), _from_query),
    Format("verifiable", "Prompts with answers", _is_answered, _from_answered),
)
