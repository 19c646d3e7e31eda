"""A run that is being thought out: its form and inputs, where they started, and what they say."""

from __future__ import annotations

import json
from functools import cached_property, lru_cache
from typing import Any

from django.http import Http404

from apps.accounts.guards import PageRequest
from apps.runs.start import courses, editing, saying, starts
from apps.runs.start.changes import Change, as_typed, changes, typed
from apps.runs.start.fields import humanise
from apps.runs.start.forms import ConfigForm, Problem
from apps.runs.start.inputs import InputsForm
from apps.runs.start.parts import config_form
from kos.config import JOBS, JobConfig


def model_of(kind: str) -> type[JobConfig]:
    """The config of a kind of job. Raises Http404 when there is none such."""
    if kind not in JOBS:
        raise Http404
    return JOBS[kind]


class Draft:
    """The form of ``kind`` as it stands: fresh, or as typed in ``data``."""

    def __init__(
        self, request: PageRequest, kind: str, data: Any = None, *, form: ConfigForm | None = None
    ) -> None:
        model = model_of(kind)
        self.kind = kind
        self.model = model
        self.is_typed = data is not None
        self.start = starts.start_of(request, kind)
        self._address = request.build_absolute_uri("/").rstrip("/")
        self.form = form or config_form(model, data, initial=self.start.config)
        self.inputs = InputsForm(model, data, initial=self.start.given)

    @classmethod
    def edited(cls, request: PageRequest, kind: str, wanted: str) -> Draft:
        """As typed, with a list changed or a knob reset; checked nowhere. Raises Http404."""
        form, _part = edited_part(request, kind, wanted)
        draft = cls(request, kind, request.POST, form=form)
        draft.inputs.as_draft()
        # Its values are shown, its faults are not: somebody is still at it.
        draft.is_typed = False
        return draft

    @cached_property
    def checked(self) -> tuple[ConfigForm, InputsForm]:
        """The forms with every fault found; of a fresh draft, its twin as it would be sent."""
        inputs = self.inputs
        if not self.is_typed:
            inputs = inputs.as_sent(sent(inputs))
            knobs = json.dumps(typed(self.form))
            return _twin(self.model, knobs, is_whole=inputs.is_valid()), inputs
        # Both are checked before either ends it: all faults show at once.
        is_valid = [self.form.is_valid(), inputs.is_valid()]
        if all(is_valid):
            self.form.check_together()
        return self.form, inputs

    @cached_property
    def problems(self) -> list[Problem]:
        """What keeps the run from starting, inputs first."""
        form, inputs = self.checked
        found = [
            Problem(*_input_place(inputs, name), str(error))
            for name, errors in inputs.errors.items()
            for error in errors
        ]
        return found + form.problems()

    @property
    def config(self) -> JobConfig | None:
        """The config that the form describes, if it describes one."""
        form = self.checked[0]
        found = getattr(form, "config", None)
        return found if isinstance(found, JobConfig) and form.is_valid() else None

    @cached_property
    def changes(self) -> list[Change]:
        """Every knob that is not as it started."""
        is_untouched = not self.form.is_bound and self.start.config == self.start.base
        return [] if is_untouched else changes(self.form, self.start.base)

    @cached_property
    def body(self) -> dict[str, Any] | None:
        """The start as the REST call takes it; None while a knob is wrong."""
        return saying.body_of(self.config, self.inputs) if self.config is not None else None

    @property
    def ways(self) -> list[saying.Way]:
        """The same start over REST, in Python, as a command and as a file."""
        return saying.ways(self.body, self._address) if self.body is not None else []


@lru_cache(maxsize=64)
def _twin(model: type[JobConfig], knobs: str, *, is_whole: bool) -> ConfigForm:
    """The form of ``knobs`` (as a browser sends them, in JSON), checked; nobody changes it after.

    Most drafts begin at the same few starts. With ``is_whole`` the knobs are also asked together.
    """
    form = config_form(model, json.loads(knobs))
    if form.is_valid() and is_whole:
        form.check_together()
    return form


def edited_part(
    request: PageRequest, kind: str, wanted: str
) -> tuple[ConfigForm, ConfigForm | None]:
    """The typed form after what a button asks for, and the part that changed. Raises Http404."""
    asked = editing.read(wanted)
    if asked is None:
        raise Http404
    if asked.verb == editing.RESET:
        base = starts.start_of(request, kind).base
        return editing.reset(model_of(kind), request.POST, asked.path, base)
    if asked.verb == editing.DESIGN:
        designed = courses.with_lines(request.POST, asked.path)
        return config_form(model_of(kind), designed).as_draft(), None
    found = editing.edited(model_of(kind), request.POST, asked)
    if found is None:
        raise Http404
    return found


def sent(inputs: InputsForm) -> dict[str, Any]:
    """What a browser would send of the form as it stands, rows by their numbers."""
    values = ((field.html_name, field.value()) for field in inputs)
    return {name: as_typed(getattr(value, "pk", value)) for name, value in values}


def _input_place(inputs: InputsForm, name: str) -> tuple[str, str]:
    if name not in inputs.fields:
        return "run-form", "The run"
    return inputs[name].id_for_label, humanise(name)
