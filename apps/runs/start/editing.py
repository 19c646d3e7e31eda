"""The form edited on the server: a list's entries, and what goes back to its start.

A button adds, removes or moves an entry, or resets a knob. Its value says what and where
(``rewards up 1``, ``loss reset 0``); everything typed so far comes along and stays. So the form
can be edited with and without JavaScript.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from apps.runs.start.changes import typed
from apps.runs.start.forms import ConfigForm
from apps.runs.start.parts import COUNT, ListForm, config_form, count_in, part_at

EDIT = "edit"
RESET = "reset"
DESIGN = "design"
VERBS = ("up", "down", "remove", "add", RESET, DESIGN)


class Edit(NamedTuple):
    """What a button asks for; ``place`` matters to ``up``, ``down`` and ``remove``."""

    path: str
    verb: str
    place: int


def read(wanted: str) -> Edit | None:
    """The edit that a button's value names, or None."""
    match = re.fullmatch(r"([a-z0-9_-]+) (\w+) (\d{1,3})", wanted)
    if match is None or match[2] not in VERBS:
        return None
    return Edit(match[1], match[2], int(match[3]))


def edited(
    model: type[BaseModel], data: Mapping[str, Any], edit: Edit
) -> tuple[ConfigForm, ListForm] | None:
    """The form as typed with the list changed, and that list; None when there is none such."""
    order = [*range(count_in(data, edit.path))]
    form = config_form(model, _reordered(data, edit.path, _order(order, edit))).as_draft()
    changed = part_at(form, edit.path)
    if not isinstance(changed, ListForm):
        return None
    kind = str(data.get(f"{edit.path}-new", ""))
    if edit.verb == "add" and (changed.picked is None or kind in changed.picked):
        changed.append(kind)
    return form, changed


def reset(
    model: type[BaseModel], data: Mapping[str, Any], path: str, start: Mapping[str, Any]
) -> tuple[ConfigForm, ConfigForm | None]:
    """The form as typed with what lies at ``path`` as in ``start``; and the part that this is."""
    then = typed(config_form(model, initial=start))
    kept = {name: data[name] for name in data if not _is_below(name, path)}
    back = {name: value for name, value in then.items() if _is_below(name, path)}
    form = config_form(model, kept | back).as_draft()
    return form, part_at(form, path)


def _is_below(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}-")


def _order(places: list[int], edit: Edit) -> list[int]:
    """The old places in their new order."""
    place = edit.place
    if edit.verb == "add" or place not in places:
        return places
    if edit.verb == "remove":
        return [other for other in places if other != place]
    other = place - 1 if edit.verb == "up" else place + 1
    if other in places:
        places[place], places[other] = places[other], places[place]
    return places


def _reordered(data: Mapping[str, Any], path: str, order: list[int]) -> dict[str, Any]:
    """``data`` with the entries of the list at ``path`` renumbered."""
    new_place = {old: new for new, old in enumerate(order)}
    entry = re.compile(rf"{re.escape(path)}-(\d+)-(.+)")
    found: dict[str, Any] = {}
    for name in data:
        match = entry.fullmatch(name)
        if match is None:
            found[name] = data[name]
        elif int(match[1]) in new_place:
            found[f"{path}-{new_place[int(match[1])]}-{match[2]}"] = data[name]
    return found | {f"{path}-{COUNT}": str(len(order))}
