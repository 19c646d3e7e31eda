"""What of a form was changed since its start, knob by knob, as it stands in the fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from apps.runs.start.forms import KIND, ConfigForm
from apps.runs.start.parts import COUNT, ListForm, config_form, find_part

LONGEST = 40


class Change(NamedTuple):
    """A knob that is not as it started. ``part`` is what has to be drawn anew to undo it."""

    name: str
    anchor: str
    place: str
    old: str
    new: str
    typed: str
    part: str


def typed(form: ConfigForm) -> dict[str, str]:
    """What a browser would send of the form as it stands, by the fields' names."""
    return {
        field.html_name: as_typed(field.value())
        for part in form.all_forms()
        for field in part
        if not isinstance(part, ListForm) or field.name == COUNT
    }


def as_typed(value: Any) -> str:
    """The text of a field's value; a box is ``on`` or nothing."""
    if value is None or value is False:
        return ""
    if value is True:
        return "on"
    if isinstance(value, (list, tuple)):
        return "\n".join(map(str, value))
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {one}" for name, one in value.items())
    return str(value).replace("\r\n", "\n")


def changes(form: ConfigForm, start: Mapping[str, Any]) -> list[Change]:
    """Every knob of ``form`` that is not as in ``start``, in the order of the form.

    Where another kind was chosen, its knobs are held against their defaults.
    """
    then = typed(config_form(form.schema, initial=start))
    found = []
    for part in form.all_forms():
        old = then.get(f"{part.prefix}-{KIND}")
        if part.registry is not None and old is not None and old != _kind(part):
            then |= _defaults(form.schema, part)
            found.append(_change(part, part[KIND], old, part.prefix or ""))
        found += _of(part, then)
    return found


def _of(part: ConfigForm, then: Mapping[str, str]) -> list[Change]:
    found = []
    for field in part:
        # A knob of an added entry has nothing to be held against.
        if field.name == KIND or field.html_name not in then:
            continue
        old = then[field.html_name]
        if not _same(old, as_typed(field.value())):
            is_list = isinstance(part, ListForm)
            found.append(_change(part, field, old, part.prefix or "" if is_list else ""))
    return found


def _change(part: ConfigForm, field: Any, old: str, redrawn: str) -> Change:
    label = "" if field.name in (COUNT, KIND) else str(field.label)
    new = as_typed(field.value())
    return Change(
        name=redrawn or field.html_name,
        anchor=f"part-{part.prefix}" if field.name == COUNT else field.id_for_label,
        place=" / ".join(filter(None, (part.place, label))),
        old=_said(field, old),
        new=_said(field, new),
        typed=old,
        part=redrawn,
    )


def _said(field: Any, value: str) -> str:
    if field.name == COUNT:
        return f"{value} {'entry' if value == '1' else 'entries'}"
    if getattr(field.field.widget, "input_type", "") == "checkbox":
        return "on" if value else "off"
    short = " ".join(value.split())
    return (short if len(short) <= LONGEST else f"{short[: LONGEST - 1]}…") or "empty"


def _same(old: str, new: str) -> bool:
    if old == new:
        return True
    try:
        return float(old) == float(new)
    except ValueError:
        return False


def _kind(part: ConfigForm) -> str:
    return str(part.schema.model_fields[KIND].default)


def _defaults(schema: type[BaseModel], part: ConfigForm) -> dict[str, str]:
    fresh = find_part(schema, part.prefix or "", _kind(part))
    return typed(fresh) if fresh is not None else {}
