"""The editor's form and the task it stands for.

Fields are named by place: ``turn-0-role``, ``item-2-points``. What the form has no field for
(verifier, environment, sources, an item's checkpoint) is carried over from the task it began
with: an item says by ``item-2-was`` which one it was. A button says what to do by ``do``:
``item-up 2``, ``turn-add``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args

from apps.accounts.numerals import number
from apps.datasets import sentences
from apps.datasets.problems import Problem
from kos.data.rubrics import Check, RubricTask, Split, UseCase

SPLITS = get_args(Split)
USE_CASES = get_args(UseCase)
DIFFICULTIES = ("typical", "difficult", "other")
TYPES = ("good_faith", "red_teaming", "other")
ROLES = ("system", "user", "assistant")
AXES = (
    "accuracy",
    "completeness",
    "communication_quality",
    "context_awareness",
    "instruction_following",
)
PHRASES = ("any_of", "all_of", "none_of")
MAX_ITEMS, MAX_TURNS = 200, 60
MAX_TEXT = 200_000


class Row(NamedTuple):
    """One item or turn of the form: its place, its values as typed, and what is wrong there."""

    place: int
    values: dict[str, Any]
    problems: list[str]
    sentence: str = ""


def task_from(data: Mapping[str, str], was: Mapping[str, Any]) -> dict[str, Any]:
    """The task that a posted form stands for, on top of ``was``; usable or not."""
    items = {item.get("key"): item for item in was.get("rubric", ())}
    turns = list(was.get("messages", ()))
    task = {name: value for name, value in was.items() if name not in FORM_FIELDS}
    task |= {
        "messages": [_turn(data, place, turns) for place in _places(data, "turn", MAX_TURNS)],
        "rubric": [_item(data, place, items) for place in _places(data, "item", MAX_ITEMS)],
        "split": data.get("split", "train"),
        "use_case": data.get("use_case", "other"),
        "difficulty": data.get("difficulty", "other"),
        "type": data.get("type", "other"),
        "specialty": data.get("specialty", "").strip(),
        "tags": _listed(data.get("tags", ""), ","),
        "reference": _text(data.get("reference", "")).strip(),
    }
    defaults = {"split": "train", "use_case": "other", "difficulty": "other", "type": "other"}
    # As rows are kept: without what is at its default.
    return {
        name: value
        for name, value in task.items()
        if value not in ("", []) and value != defaults.get(name)
    } | {"messages": task["messages"], "rubric": task["rubric"]}


FORM_FIELDS = frozenset(
    [
        "messages",
        "rubric",
        "split",
        "use_case",
        "difficulty",
        "type",
        "specialty",
        "tags",
        "reference",
    ]
)


def act(task: dict[str, Any], told: str) -> dict[str, Any]:
    """The task after a button: ``item-add``, ``item-remove 1``, ``item-up 2``, ``turn-add`` ..."""
    name, _, where = told.partition(" ")
    kind, _, verb = name.partition("-")
    field = {"item": "rubric", "turn": "messages"}.get(kind)
    place = number(where)
    if field is None or (where and place is None):
        return task
    rows = list(task[field])
    place = len(rows) if place is None else place
    if verb == "add":
        rows.append(_new_turn(rows) if kind == "turn" else _new_item(rows))
    elif place < len(rows):
        _move(rows, place, verb)
    return {**task, field: rows}


def rows_of(task: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The task as rows of the form, each with what is wrong in it."""
    return {
        "turns": [
            Row(place, {**turn}, _wrong(problems, f"messages.{place}."))
            for place, turn in enumerate(task.get("messages", ()))
        ],
        "items": [
            Row(place, _typed(item), _wrong(problems, f"rubric.{place}."), _sentence(item))
            for place, item in enumerate(task.get("rubric", ()))
        ],
        "general": [
            problem.text
            for problem in problems
            if not problem.place.startswith(("rubric.", "messages."))
        ],
    }


def usable(task: Mapping[str, Any]) -> RubricTask | None:
    """The task without what is not yet usable in it, so that the rest can be tried."""
    rubric = []
    for item in task.get("rubric", ()):
        try:
            RubricTask.model_validate(BARE | {"rubric": [item]})
        except ValueError:
            continue
        rubric.append(item)
    kept: dict[str, Any] = BARE | {"rubric": rubric}
    if task.get("verifier"):
        kept["verifier"] = task["verifier"]
    messages = [turn for turn in task.get("messages", ()) if turn.get("content")]
    if messages and messages[-1].get("role") == "user":
        kept["messages"] = messages
    try:
        return RubricTask.model_validate(kept)
    except ValueError:
        return None


BARE: dict[str, Any] = {"id": "tried", "messages": [{"role": "user", "content": "?"}]}


def _places(data: Mapping[str, str], kind: str, most: int) -> Iterator[int]:
    for place in range(most):
        if f"{kind}-{place}-text" not in data:
            return
        yield place


def _turn(data: Mapping[str, str], place: int, turns: list[Any]) -> dict[str, Any]:
    start = f"turn-{place}-"
    was = number(data.get(f"{start}was", ""))
    kept = turns[was] if was is not None and was < len(turns) else {}
    return {
        **kept,
        "role": data.get(f"{start}role", "user"),
        "content": _text(data[f"{start}text"]),
    }


def _item(data: Mapping[str, str], place: int, items: Mapping[Any, Any]) -> dict[str, Any]:
    start = f"item-{place}-"
    # After a new key was saved while somebody types, the old one is not known any more.
    kept = items.get(data.get(f"{start}was", "")) or items.get(
        data.get(f"{start}key", "").strip(), {}
    )
    axis = data.get(f"{start}axis", "").strip()
    tags = _listed(data.get(f"{start}tags", ""), ",")
    made = {
        **{name: kept[name] for name in ("checkpoint", "consensus_key", "group") if name in kept},
        "key": data.get(f"{start}key", "").strip(),
        "text": _text(data[f"{start}text"]).strip(),
        "points": _number(data.get(f"{start}points", "")),
        "tags": [*([f"axis:{axis}"] if axis else []), *tags],
    }
    if data.get(f"{start}kind", "judge") == "check":
        made["check"] = _check(data, start)
    return {name: value for name, value in made.items() if value != [] or name == "points"}


def _check(data: Mapping[str, str], start: str) -> dict[str, Any]:
    check: dict[str, Any] = {
        name: _listed(data.get(f"{start}{name}", ""), "\n") for name in PHRASES
    }
    check["regex"] = data.get(f"{start}regex", "").strip()
    check["min_chars"] = _whole(data.get(f"{start}min_chars", ""))
    check["max_chars"] = _whole(data.get(f"{start}max_chars", ""))
    check["asks_question"] = f"{start}asks_question" in data
    low, high = (_number(data.get(f"{start}{name}", "")) for name in ("low", "high"))
    if low is not None or high is not None:
        near = _listed(data.get(f"{start}near", ""), ",")
        number = {"low": high if low is None else low, "high": low if high is None else high}
        check["number"] = number | ({"near": near} if near else {})
    return {name: value for name, value in check.items() if value not in ("", [], None, False)}


def _typed(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as its fields show it."""
    check: Mapping[str, Any] = item.get("check") or {}
    number: Mapping[str, Any] = check.get("number") or {}
    tags = list(item.get("tags", ()))
    axes = [tag.removeprefix("axis:") for tag in tags if tag.startswith("axis:")]
    return {
        "key": item.get("key", ""),
        "text": item.get("text", ""),
        "points": _shown(item.get("points")),
        "axis": axes[0] if axes else "",
        "tags": ", ".join(tag for tag in tags if tag != f"axis:{axes[0] if axes else ''}"),
        "kind": kind_of(item),
        **{name: "\n".join(check.get(name, ())) for name in PHRASES},
        "regex": check.get("regex", ""),
        "low": _shown(number.get("low")),
        "high": _shown(number.get("high")),
        "near": ", ".join(number.get("near", ())),
        "min_chars": _shown(check.get("min_chars")),
        "max_chars": _shown(check.get("max_chars")),
        "asks_question": check.get("asks_question", False),
        "checkpoint": (item.get("checkpoint") or {}).get("kind", ""),
    }


def kind_of(item: Mapping[str, Any]) -> str:
    """Who decides an item as JSON. A check that is still empty is there as {}."""
    if "check" in item and item["check"] is not None:
        return "check"
    return "checkpoint" if item.get("checkpoint") else "judge"


def _sentence(item: Mapping[str, Any]) -> str:
    try:
        return sentences.say(Check.model_validate(item["check"])) if item.get("check") else ""
    except ValueError:
        return ""


def _wrong(problems: list[Problem], start: str) -> list[str]:
    return [problem.text for problem in problems if f"{problem.place}.".startswith(start)]


def _move(rows: list[Any], place: int, verb: str) -> None:
    if verb == "remove":
        rows.pop(place)
    elif verb == "up" and place > 0:
        rows.insert(place - 1, rows.pop(place))
    elif verb == "down":
        rows.insert(place + 1, rows.pop(place))


def _new_item(rows: list[Any]) -> dict[str, Any]:
    keys = {row.get("key") for row in rows}
    number = len(rows) + 1
    while f"item-{number}" in keys:
        number += 1
    return {"key": f"item-{number}", "text": "", "points": 1}


def _new_turn(rows: list[Any]) -> dict[str, Any]:
    is_user_next = not rows or rows[-1].get("role") != "user"
    return {"role": "user" if is_user_next else "assistant", "content": ""}


def _listed(text: str, separator: str) -> list[str]:
    found = (part.strip() for part in text.replace("\r", "").split(separator))
    return list(dict.fromkeys(part for part in found if part))


def _text(text: str) -> str:
    return text.replace("\r\n", "\n")[:MAX_TEXT]


def _number(text: str) -> float | None:
    plain = text.strip().replace("\N{MINUS SIGN}", "-").replace(",", ".")
    try:
        value = float(plain)
    except ValueError:
        return None
    # Neither NaN nor infinity is a number of points.
    return value if abs(value) < 1e9 else None


def _whole(text: str) -> int | None:
    return number(text.strip())


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
