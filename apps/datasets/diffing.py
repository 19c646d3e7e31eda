"""What differs between two versions of a dataset: examples, their fields, and their words.

Examples are paired by id and held against each other by their content hashes inside the
database, so that two versions of 100,000 are compared without reading them. Rubric items are
paired by their keys.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from django.db.models import F, OuterRef, QuerySet, Subquery

from apps.datasets import sentences, statistics
from apps.datasets.models import DatasetVersion, Example
from kos.data.rubrics import Check

Kind = Literal["added", "removed", "changed"]
KINDS: tuple[Kind, ...] = ("added", "removed", "changed")
WORDS = re.compile(r"\w+|\s+|[^\w\s]")
# Comparing takes time by the product of the lengths: longer texts are compared line by line.
MAX_WORDS = 3000
LABELS = {
    "split": "Split",
    "use_case": "Use case",
    "type": "Type",
    "difficulty": "Difficulty",
    "specialty": "Specialty",
    "tags": "Tags",
    "reference": "Reference answer",
    "sources": "Sources",
    "licence": "Licence",
    "verifier": "Verifier",
    "environment": "Environment",
    "references": "More references",
    "language": "Language",
    "level": "Level",
    "weight": "Weight",
}


class Piece(NamedTuple):
    """A stretch of text that both have ("="), or that was removed ("-") or added ("+")."""

    sign: str
    text: str


@dataclass(frozen=True)
class FieldChange:
    """One field before and after; ``pieces`` are its words. A side that is not there is ""."""

    label: str
    before: str
    after: str
    pieces: tuple[Piece, ...] = ()
    kind: Literal["text", "value", "added", "removed"] = "value"


@dataclass(frozen=True)
class ExampleChange:
    """One example of a diff; the rows are None where it is not there."""

    kind: Kind
    external_id: str
    before: Example | None
    after: Example | None


class Change(NamedTuple):
    """A number of the statistics before and after."""

    label: str
    before: float
    after: float


def counts(old: DatasetVersion, new: DatasetVersion) -> dict[Kind, int]:
    """How many examples were added, removed and changed."""
    return {kind: rows_of(old, new, kind).count() for kind in KINDS}


def rows_of(old: DatasetVersion, new: DatasetVersion, kind: Kind) -> QuerySet[Example]:
    """The examples of one kind: of the old version where they were removed, else of the new."""
    if kind == "removed":
        return rows_of(new, old, "added")
    was = old.examples.filter(external_id=OuterRef("external_id")).order_by()
    found = new.examples.annotate(was=Subquery(was.values("content_hash")[:1]))
    if kind == "added":
        return found.filter(was=None).order_by("position")
    return found.filter(was__isnull=False).exclude(was=F("content_hash")).order_by("position")


def pair(old: DatasetVersion, kind: Kind, rows: Sequence[Example]) -> list[ExampleChange]:
    """Rows of ``rows_of`` with what stood before them."""
    if kind == "changed":
        names = [row.external_id for row in rows]
        was = {row.external_id: row for row in old.examples.filter(external_id__in=names)}
        return [ExampleChange(kind, row.external_id, was[row.external_id], row) for row in rows]
    if kind == "added":
        return [ExampleChange(kind, row.external_id, None, row) for row in rows]
    return [ExampleChange(kind, row.external_id, row, None) for row in rows]


def fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """What differs between two tasks as JSON, in the order of a page."""
    found = [*_turns(before, after), *_items(before, after)]
    for name, label in LABELS.items():
        old, new = _flat(before.get(name)), _flat(after.get(name))
        if old != new:
            is_text = name == "reference"
            pieces = words(old, new) if is_text else ()
            found.append(FieldChange(label, old, new, pieces, "text" if is_text else "value"))
    return found


def words(before: str, after: str) -> tuple[Piece, ...]:
    """The two texts as one, in pieces that stayed, went and came."""
    old, new = WORDS.findall(before), WORDS.findall(after)
    if max(len(old), len(new)) > MAX_WORDS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    pieces = []
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("=", "".join(old[old_start:old_end])))
            continue
        if old_end > old_start:
            pieces.append(Piece("-", "".join(old[old_start:old_end])))
        if new_end > new_start:
            pieces.append(Piece("+", "".join(new[new_start:new_end])))
    return tuple(pieces)


def numbers(old: DatasetVersion, new: DatasetVersion) -> list[Change]:
    """Statistics of both versions side by side, those of splits and use cases among them."""
    before, after = statistics.facts_of(old), statistics.facts_of(new)
    named = {
        "num_examples": "Prompts",
        "num_items": "Rubric items",
        "num_negative": "Items with negative points",
        "num_checked": "Items decided by a check",
        "num_judged": "Items that need a judge",
        "num_checkpoints": "Checkpoints",
        "num_verified": "Prompts with a verifier",
        "num_referenced": "Prompts with a reference answer",
    }
    found = [Change(label, before[name], after[name]) for name, label in named.items()]
    for place, label in ((0, "Split"), (1, "Use case"), (2, "Difficulty")):
        was = dict(statistics.by_slice(before["cells"], place))
        now = dict(statistics.by_slice(after["cells"], place))
        found += [
            Change(f"{label}: {name}", was.get(name, 0), now.get(name, 0))
            for name in sorted(was.keys() | now.keys())
        ]
    return [change for change in found if change.before or change.after]


def export(old: DatasetVersion, new: DatasetVersion) -> Iterator[str]:
    """The diff as JSON lines, whole examples on both sides. Restricted rows never leave."""
    if old.is_restricted or new.is_restricted:
        return
    for kind in KINDS:
        rows = rows_of(old, new, kind).iterator(chunk_size=200)
        batch: list[Example] = []
        for row in rows:
            batch.append(row)
            if len(batch) == 200:
                yield from _lines(old, kind, batch)
                batch = []
        yield from _lines(old, kind, batch)


def _lines(old: DatasetVersion, kind: Kind, rows: Sequence[Example]) -> Iterator[str]:
    for change in pair(old, kind, rows):
        before = change.before.task if change.before is not None else None
        after = change.after.task if change.after is not None else None
        if (before or {}).get("restricted") or (after or {}).get("restricted"):
            continue
        line: dict[str, Any] = {"change": kind, "id": change.external_id}
        if before is not None and after is not None:
            line["fields"] = [one.label for one in fields(before, after)]
        yield json.dumps(line | {"before": before, "after": after}, ensure_ascii=False) + "\n"


def _turns(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    old, new = before.get("messages", ()), after.get("messages", ())
    for place in range(max(len(old), len(new))):
        was = _said(old[place]) if place < len(old) else ""
        now = _said(new[place]) if place < len(new) else ""
        if was != now:
            yield _text(f"Turn {place + 1}", was, now)


def _said(turn: Mapping[str, Any]) -> str:
    return f"{turn['role']}: {turn['content']}"


def _items(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    old = {item["key"]: item for item in before.get("rubric", ())}
    new = {item["key"]: item for item in after.get("rubric", ())}
    for key in dict.fromkeys([*old, *new]):
        label = f"Item {key}"
        if key not in new:
            yield FieldChange(label, old[key]["text"], "", kind="removed")
        elif key not in old:
            yield FieldChange(label, "", new[key]["text"], kind="added")
        else:
            yield from _item(label, old[key], new[key])
    shared = [key for key in old if key in new], [key for key in new if key in old]
    if shared[0] != shared[1]:
        yield FieldChange("Order of the items", ", ".join(old), ", ".join(new))


def _item(label: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldChange]:
    if old["text"] != new["text"]:
        yield _text(label, old["text"], new["text"])
    if old["points"] != new["points"]:
        yield FieldChange(f"{label}, points", f"{old['points']:+g}", f"{new['points']:+g}")
    if _flat(old.get("tags")) != _flat(new.get("tags")):
        yield FieldChange(f"{label}, tags", _flat(old.get("tags")), _flat(new.get("tags")))
    was, now = _decided(old), _decided(new)
    if was != now:
        yield FieldChange(f"{label}, decided by", was, now)


def _decided(item: Mapping[str, Any]) -> str:
    if item.get("check"):
        check = Check.model_validate(item["check"])
        return sentences.say(check) + (f" Pattern: {check.regex}" if check.regex else "")
    return f"checkpoint {_flat(item['checkpoint'])}" if item.get("checkpoint") else "a judge"


def _text(label: str, before: str, after: str) -> FieldChange:
    kind: Literal["text", "added", "removed"] = "text"
    if not before or not after:
        kind = "removed" if before else "added"
    return FieldChange(label, before, after, words(before, after), kind)


def _flat(value: Any) -> str:
    if not value:
        return ""
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
