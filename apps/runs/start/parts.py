"""Makes the form of a config, with its parts and lists of parts.

An ordered list of choices becomes a part of numbered parts (``rewards-0-gate``), each with a
menu of kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from apps.accounts.numerals import number
from apps.runs.start.fields import (
    element_of,
    form_field,
    is_list,
    is_part,
    limits_of,
    registry_of,
)
from apps.runs.start.forms import KIND, ConfigForm
from apps.runs.start.sources import About
from kos.registry import Registry

COUNT = "count"
MAX_ENTRIES = 20


class ListForm(ConfigForm):
    """An ordered list of parts, numbered from 0 in their prefixes; each has a menu of kinds.

    ``element`` is what each is, ``picked`` the registry they are picked from, if they are choices.
    """

    is_list = True
    element: type[BaseModel]
    picked: Registry[Any] | None
    info: FieldInfo

    def __init__(
        self, data: Mapping[str, Any] | None, *, prefix: str, info: FieldInfo, values: Any
    ) -> None:
        forms.Form.__init__(self, data, prefix=prefix)
        element, self.picked = element_of(info)
        assert element is not None, info
        self.element, self.info = element, info
        self.schema = element
        size = count_in(data, prefix) if data is not None else len(values)
        self.fields[COUNT] = forms.IntegerField(
            initial=size, min_value=0, max_value=MAX_ENTRIES, widget=forms.HiddenInput
        )
        self.parts = {
            str(place): self.entry(place, data, None if data is not None else values[place])
            for place in range(size)
        }

    @property
    def note(self) -> str:
        return self.info.description or ""

    @property
    def about(self) -> About:
        # What each entry is, its own part says.
        return About("", [], [])

    @property
    def menu(self) -> BoundField | None:
        return None

    @property
    def knobs(self) -> list[BoundField]:
        return []

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """What can be added: (kind, label)."""
        return menu_of(self.picked) if self.picked is not None else [("", "Another")]

    def payload(self) -> Any:
        return [part.payload() for part in self.parts.values()]

    def entry(self, place: int, data: Mapping[str, Any] | None, values: Any = None) -> ConfigForm:
        """The part at ``place``: as typed in ``data``, or with ``values``."""
        prefix = f"{self.prefix}-{place}"
        model = self.element
        if self.picked is not None:
            wanted = str((data or {}).get(f"{prefix}-{KIND}") or (values or {}).get(KIND))
            model = self.picked[wanted] if wanted in self.picked else next(iter(self.picked))
        form = config_form(model, data, prefix=prefix, initial=values, registry=self.picked)
        form.is_entry = True
        return form

    def append(self, kind: str) -> None:
        """A new entry of ``kind`` with its defaults, unless the list is full."""
        place = len(self.parts)
        model = self.picked[kind] if self.picked is not None else self.element
        if place < MAX_ENTRIES:
            self.parts[str(place)] = self.entry(place, None, start_of(model))
            self.data = {**self.data, self.add_prefix(COUNT): str(place + 1)}


def config_form(
    model: type[BaseModel],
    data: Mapping[str, Any] | None = None,
    *,
    prefix: str = "",
    initial: Mapping[str, Any] | None = None,
    registry: Registry[Any] | None = None,
) -> ConfigForm:
    """The form of ``model``: bound to ``data``, or unbound with ``initial`` values."""
    cls = _form_class(model, registry)
    values = initial or {}
    parts = {
        name: make_part(
            info,
            prefix=f"{prefix}-{name}" if prefix else name,
            data=data,
            values=values.get(name),
        )
        for name, info in model.model_fields.items()
        if is_part(info)
    }
    form: ConfigForm = cls(data, prefix=prefix, initial=initial, parts=parts)
    if registry is not None:
        form.fields[KIND] = kind_field(registry, model)
    return form


@cache
def _form_class(model: type[BaseModel], registry: Registry[Any] | None) -> type[ConfigForm]:
    """The class of the form, with a field a plain knob; made once, for it is asked for often."""
    plain = {
        name: info
        for name, info in model.model_fields.items()
        if name != KIND and not is_part(info)
    }
    body: dict[str, Any] = {"schema": model, "registry": registry}
    body["shared"] = {name: form_field(name, info) for name, info in plain.items()}
    body["limits"] = {name: limits_of(info) for name, info in plain.items()}
    return type(f"{model.__name__}Form", (ConfigForm,), body)


def make_part(
    info: FieldInfo, *, prefix: str, data: Mapping[str, Any] | None, values: Any = None
) -> ConfigForm:
    """The form of a nested model; a choice's kind comes from the data, then the values."""
    if is_list(info):
        if values is None:
            values = [entry.model_dump(mode="json") for entry in info.get_default() or ()]
        return ListForm(data, prefix=prefix, info=info, values=values)
    defaults = info.default.model_dump(mode="json")
    registry = registry_of(info)
    model: type[BaseModel] = type(info.default)
    if registry is not None:
        kind = (data or {}).get(f"{prefix}-{KIND}") or (values or defaults)[KIND]
        if kind in registry:
            model = registry[kind]
    if values is None:
        values = defaults
    return config_form(model, data, prefix=prefix, initial=values, registry=registry)


def find_part(model: type[BaseModel], path: str, kind: str) -> ConfigForm | None:
    """The part at ``path`` (say ``train-loss``) of ``model``, with the defaults of ``kind``."""
    found = part_at(config_form(model, initial=start_of(model)), path)
    if found is None or found.registry is None or kind not in found.registry:
        return None
    chosen = found.registry[kind]
    form = config_form(chosen, prefix=path, initial=start_of(chosen), registry=found.registry)
    form.is_entry = found.is_entry
    return form


def part_at(form: ConfigForm, path: str) -> ConfigForm | None:
    """The part of ``form`` at ``path``; in a list any number stands for an entry of it."""
    for name in path.split("-"):
        place = number(name, most=3) if isinstance(form, ListForm) else None
        if isinstance(form, ListForm) and place is not None:
            form = form.parts.get(name) or form.entry(place, None, {})
        elif name in form.parts:
            form = form.parts[name]
        else:
            return None
    return form


@cache
def kind_field(registry: Registry[Any], chosen: type[BaseModel]) -> forms.ChoiceField:
    initial = chosen.model_fields[KIND].default
    return forms.ChoiceField(
        choices=menu_of(registry), initial=initial, required=False, label="Kind"
    )


def menu_of(registry: Registry[Any]) -> list[tuple[str, str]]:
    """Every choice of ``registry``: (kind, label)."""
    return [(cls.model_fields[KIND].default, cls.label()) for cls in registry]


def start_of(model: type[BaseModel]) -> dict[str, Any]:
    """The defaults of ``model`` as JSON, without the knobs that have none."""
    return model.model_construct().model_dump(mode="json")


def count_in(data: Mapping[str, Any], prefix: str) -> int:
    """How many entries of the list at ``prefix`` were typed."""
    return min(number(str(data.get(f"{prefix}-{COUNT}", "")), most=3) or 0, MAX_ENTRIES)
