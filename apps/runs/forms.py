"""Forms made from the pydantic configs, so that a knob is written once, in kos.

A plain field becomes a form field. A nested model, or a named choice such as the loss,
becomes a part: a form of its own whose prefix is its path (``sampling-top_p``). An ordered list
of choices becomes a part of numbered parts (``rewards-0-gate``). Pydantic has the last word: its
errors land on the fields they name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

from django import forms
from django.forms.boundfield import BoundField
from django.forms.utils import ErrorDict
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from apps.runs.fields import element_of, form_field, humanise, is_list, is_part, plain, registry_of
from apps.runs.sections import SECTIONS
from kos.registry import Registry

KIND = "kind"
COUNT = "count"
MAX_ENTRIES = 20


class Shown(NamedTuple):
    """A section of a form, ready to draw."""

    title: str
    note: str
    knobs: list[BoundField]
    parts: list[ConfigForm]
    is_open: bool


class ConfigForm(forms.Form):
    """Fields for the plain knobs of ``schema`` and ``parts`` for its nested ones.

    A valid root form has the frozen ``config``.
    """

    # Not "model": a knob may be called so, and would be lost.
    schema: type[BaseModel]
    registry: Registry[Any] | None = None
    is_list = False
    is_entry = False
    config: BaseModel
    _errors: ErrorDict | None  # Django's own: None until the form is checked.

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        prefix: str = "",
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        initial = initial or {}
        super().__init__(data, prefix=prefix or None, initial=dict(initial))
        self.parts: dict[str, ConfigForm] = {
            name: make_part(
                info, prefix=self.add_prefix(name), data=data, values=initial.get(name)
            )
            for name, info in self.schema.model_fields.items()
            if is_part(info)
        }
        if self.registry is not None:
            self.fields[KIND] = kind_field(self.registry, self.schema)

    @property
    def title(self) -> str:
        *above, name = (self.prefix or "").split("-")
        return f"{humanise(above[-1])} {int(name) + 1}" if name.isdecimal() else humanise(name)

    @property
    def note(self) -> str:
        """What the part is, in the words of its docstring's first line."""
        lines = (self.schema.__doc__ or "").strip().splitlines()
        return lines[0].replace("``", "") if lines else ""

    @property
    def menu(self) -> BoundField | None:
        """The menu of kinds, when the part is a named choice."""
        return self[KIND] if self.registry is not None else None

    @property
    def knobs(self) -> list[BoundField]:
        return [self[name] for name in self.fields if name != KIND]

    @property
    def sections(self) -> list[Shown]:
        """The folded sections of a long form; empty for a short one."""
        found = []
        for section in SECTIONS.get(self._kind, ()):
            knobs = [self[name] for name in section.names if name in self.fields]
            parts = [self.parts[name] for name in section.names if name in self.parts]
            has_errors = any(part.has_errors for part in parts)
            has_errors |= any(self.is_bound and knob.errors for knob in knobs)
            found.append(
                Shown(section.title, section.note, knobs, parts, section.is_open or has_errors)
            )
        return found

    @property
    def loose_knobs(self) -> list[BoundField]:
        """The knobs that no section folds away."""
        return [knob for knob in self.knobs if knob.name not in self._sectioned]

    @property
    def loose_parts(self) -> list[ConfigForm]:
        """The parts that no section folds away."""
        return [part for name, part in self.parts.items() if name not in self._sectioned]

    @property
    def has_errors(self) -> bool:
        return bool(self.errors) or any(part.has_errors for part in self.parts.values())

    def all_forms(self) -> Iterator[ConfigForm]:
        yield self
        for part in self.parts.values():
            yield from part.all_forms()

    def problems(self) -> list[tuple[str, str, str]]:
        """Every error with the field it is about: (id of the field, its label, the error)."""
        found = []
        for form in self.all_forms():
            for name, errors in form.errors.items():
                field = form[name] if name in form.fields else None
                place = " / ".join(
                    part for part in (form.title, str(field.label) if field else "") if part
                )
                anchor = field.id_for_label if field else f"part-{form.prefix or 'root'}"
                found += [(anchor, place, str(error)) for error in errors]
        return found

    def payload(self) -> Any:
        """What was typed, nested as the config is."""
        kind = self.schema.model_fields.get(KIND)
        filled = {KIND: kind.default} if kind else {}
        filled |= {k: plain(v) for k, v in self.cleaned_data.items() if k != KIND}
        return filled | {name: part.payload() for name, part in self.parts.items()}

    def is_complete(self) -> bool:
        """Whether this form and every part of it is valid by itself."""
        parts = [form for form in self.all_forms() if form is not self]
        # Not all(...) over a generator: every part is to show its errors.
        return [part.is_valid() for part in parts].count(False) == 0

    def clean(self) -> dict[str, Any]:
        # Parts are cleaned by the root; a knob that is not even a number ends it here.
        if self.prefix or not self.is_complete() or self.errors:
            return self.cleaned_data
        try:
            self.config = self.schema.model_validate(self.payload())
        except ValidationError as error:
            for problem in error.errors():
                self.put_error(
                    [str(part) for part in problem["loc"]],
                    problem["msg"].removeprefix("Value error, "),
                )
        return self.cleaned_data

    def is_valid(self) -> bool:
        return super().is_valid() and not self.has_errors

    def put_error(self, loc: list[str], message: str) -> None:
        """Lay pydantic's error on the field it names; tags of unions in ``loc`` are passed."""
        form, field = self, None
        for step in loc:
            if step in form.parts:
                form = form.parts[step]
            elif step in form.fields:
                field = step
                break
        form.add_error(field, message)

    def as_draft(self) -> Self:
        """The form as typed so far, unchecked: somebody is still at it."""
        for form in self.all_forms():
            form._errors = ErrorDict()
        return self

    @property
    def _kind(self) -> str:
        kind = self.schema.model_fields.get(KIND)
        return str(kind.default) if kind and self.registry is None else ""

    @property
    def _sectioned(self) -> set[str]:
        return {name for section in SECTIONS.get(self._kind, ()) for name in section.names}


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
    body: dict[str, Any] = {
        name: form_field(name, info)
        for name, info in model.model_fields.items()
        if name != KIND and not is_part(info)
    }
    body |= {"schema": model, "registry": registry}
    cls = type(f"{model.__name__}Form", (ConfigForm,), body)
    form: ConfigForm = cls(data, prefix=prefix, initial=initial)
    return form


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
        if isinstance(form, ListForm) and name.isdecimal() and len(name) < 4:
            form = form.parts.get(name) or form.entry(int(name), None, {})
        elif name in form.parts:
            form = form.parts[name]
        else:
            return None
    return form


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
    typed = str(data.get(f"{prefix}-{COUNT}", ""))
    return min(int(typed), MAX_ENTRIES) if typed.isdecimal() and len(typed) < 4 else 0
