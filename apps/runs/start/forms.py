"""The form of a pydantic config, so that a knob is written once, in kos.

A plain field becomes a form field. A nested model, or a named choice such as the loss,
becomes a part: a form of its own whose prefix is its path (``sampling-top_p``). Pydantic has the
last word: its errors land on the fields they name. ``apps.runs.start.parts`` makes these forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Self

from django import forms
from django.forms.boundfield import BoundField
from django.forms.utils import ErrorDict
from pydantic import BaseModel, ValidationError

from apps.accounts.numerals import number
from apps.runs.start.drawing import Direct
from apps.runs.start.fields import humanise, plain
from apps.runs.start.sections import SECTIONS, basic_knobs
from apps.runs.start.sources import About, about
from kos.errors import UserError
from kos.registry import Registry

KIND = "kind"


class Knob(BoundField):
    """A field of a config's form: it also says where it starts and how far it goes."""

    @property
    def limits(self) -> str:
        """Its default and its bounds: ``Default 10, 1 to 100,000``."""
        assert isinstance(self.form, ConfigForm)
        return self.form.limits.get(self.name, "")


class Problem(NamedTuple):
    """An error: the id of what it is about, how that is called, and what is wrong."""

    anchor: str
    place: str
    error: str


class Shown(NamedTuple):
    """A section of a form, ready to draw; ``more`` is folded away once more."""

    title: str
    note: str
    knobs: list[BoundField]
    parts: list[ConfigForm]
    more: list[BoundField]
    more_parts: list[ConfigForm]
    is_open: bool
    is_more_open: bool


class ConfigForm(forms.Form):
    """Fields for the plain knobs of ``schema`` and ``parts`` for its nested ones.

    A valid root form has the frozen ``config``.
    """

    # Not "model": a knob may be called so, and would be lost.
    schema: type[BaseModel]
    registry: Registry[Any] | None = None
    limits: Mapping[str, str] = {}
    # One set of fields for every form of a class: nothing changes them, and copies cost more than
    # all else about a long form.
    shared: Mapping[str, forms.Field] = {}
    is_list = False
    is_entry = False
    config: BaseModel
    bound_field_class = Knob
    default_renderer = Direct
    _errors: ErrorDict | None  # Django's own: None until the form is checked.

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        prefix: str = "",
        initial: Mapping[str, Any] | None = None,
        parts: Mapping[str, ConfigForm] | None = None,
    ) -> None:
        super().__init__(data, prefix=prefix or None, initial=dict(initial or {}))
        self.fields = dict(self.shared)
        self.parts: dict[str, ConfigForm] = dict(parts or {})

    @property
    def title(self) -> str:
        *above, name = (self.prefix or "").split("-")
        place = number(name)
        return humanise(name) if place is None else f"{humanise(above[-1])} {place + 1}"

    @property
    def place(self) -> str:
        """The whole way to this part: ``Rewards 1 / Response``."""
        names: list[str] = []
        for name in filter(None, (self.prefix or "").split("-")):
            if names and (place := number(name)) is not None:
                names[-1] += f" {place + 1}"
            else:
                names.append(humanise(name))
        return " / ".join(names)

    @property
    def note(self) -> str:
        """What the part is, in the words of its docstring's first line."""
        return self.about.label

    @property
    def about(self) -> About:
        """What the part is and where it comes from, in the words of its docstring."""
        return about(self.schema)

    @property
    def has_course(self) -> bool:
        """Whether its numbers move over the training, so that the designer can draw them."""
        return "curriculum" in self.fields

    @property
    def menu(self) -> BoundField | None:
        """The menu of kinds, when the part is a named choice."""
        return self[KIND] if self.registry is not None else None

    @property
    def knobs(self) -> list[BoundField]:
        return [self[name] for name in self.fields if name != KIND]

    @cached_property
    def sections(self) -> list[Shown]:
        """The folded sections of a long form; empty for a short one."""
        found = []
        for section in SECTIONS.get(self._kind, ()):
            knobs = [self[name] for name in section.names if name in self.fields]
            parts = [self.parts[name] for name in section.names if name in self.parts]
            more = [self[name] for name in section.more if name in self.fields]
            more_parts = [self.parts[name] for name in section.more if name in self.parts]
            is_more_open = self._has_errors(more, more_parts)
            is_open = section.is_open or is_more_open or self._has_errors(knobs, parts)
            found.append(
                Shown(
                    section.title,
                    section.note,
                    knobs,
                    parts,
                    more,
                    more_parts,
                    is_open,
                    is_more_open,
                )
            )
        return found

    @cached_property
    def loose_knobs(self) -> list[BoundField]:
        """The basic knobs that no section has."""
        basic = self._basic
        return [knob for knob in self._unsectioned if knob.name in basic]

    @cached_property
    def more_knobs(self) -> list[BoundField]:
        """The other knobs that no section has, folded away."""
        basic = self._basic
        return [knob for knob in self._unsectioned if knob.name not in basic]

    @property
    def has_more_errors(self) -> bool:
        return self._has_errors(self.more_knobs, ())

    @property
    def loose_parts(self) -> list[ConfigForm]:
        """The parts that no section has."""
        elsewhere = self._sectioned
        return [part for name, part in self.parts.items() if name not in elsewhere]

    @property
    def has_errors(self) -> bool:
        return bool(self.errors) or any(part.has_errors for part in self.parts.values())

    def all_forms(self) -> Iterator[ConfigForm]:
        yield self
        for part in self.parts.values():
            yield from part.all_forms()

    def problems(self) -> list[Problem]:
        """Every error with what it is about."""
        found = []
        for form in self.all_forms():
            for name, errors in form.errors.items():
                field = form[name] if name in form.fields else None
                place = " / ".join(
                    part for part in (form.place, str(field.label) if field else "") if part
                )
                anchor = field.id_for_label if field else f"part-{form.prefix or 'root'}"
                found += [Problem(anchor, place or "The knobs", str(error)) for error in errors]
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

    def check_together(self) -> None:
        """What the knobs of a valid form ask together and cannot have, as an error of the form."""
        check = getattr(self.config, "check", None)
        try:
            if check is not None:
                check()
        except UserError as error:
            self.add_error(None, str(error))

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

    def _has_errors(self, knobs: list[BoundField], parts: Any) -> bool:
        return any(part.has_errors for part in parts) or (
            self.is_bound and any(knob.errors for knob in knobs)
        )

    @property
    def _kind(self) -> str:
        kind = self.schema.model_fields.get(KIND)
        return str(kind.default) if kind and self.registry is None else ""

    @property
    def _basic(self) -> frozenset[str]:
        return basic_knobs(self.schema.__name__, [name for name in self.fields if name != KIND])

    @property
    def _sectioned(self) -> set[str]:
        sections = SECTIONS.get(self._kind, ())
        return {name for section in sections for name in (*section.names, *section.more)}

    @cached_property
    def _unsectioned(self) -> list[BoundField]:
        elsewhere = self._sectioned
        return [knob for knob in self.knobs if knob.name not in elsewhere]
