"""What a run works on, as a form: artifacts and datasets by the names its config declares."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import Any, Self

from django import forms
from django.forms.boundfield import BoundField
from django.forms.models import ModelChoiceIterator
from django.forms.utils import ErrorDict
from django.urls import reverse

from apps.accounts.numerals import number
from apps.datasets.models import DatasetVersion, LabelSet
from apps.runs.models import Artifact
from apps.runs.start.drawing import Direct
from apps.runs.start.fields import humanise
from kos.config import Input, JobConfig

# Inputs that lie in the database, not in a run's folder.
SETS = {"dataset", "labels"}
# In a menu; older ones are reached from their own pages.
MOST = 100


class InputsForm(forms.Form):
    """What a job works on: artifacts and datasets, by the names its config declares."""

    # Django's own: None until the form is checked, and its fields as they were asked for.
    _errors: ErrorDict | None
    _bound_fields_cache: dict[str, BoundField]
    default_renderer = Direct

    name = forms.CharField(
        max_length=120, required=False, help_text="Shown in lists; empty takes the kind's name."
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        help_text="The same seed and knobs give the same run.",
    )

    def __init__(
        self,
        model: type[JobConfig],
        data: Mapping[str, Any] | None = None,
        *,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=dict(initial or {}), prefix="run")
        self.declared = model.inputs
        for name, wanted in model.inputs.items():
            self.fields[name] = input_field(name, wanted)
        for name in model.inputs:
            chosen = number(str(getattr(self[name].value(), "pk", self[name].value())))
            if chosen is not None:
                self.fields[name].chosen = chosen  # type: ignore[attr-defined]

    def as_draft(self) -> Self:
        """The form as typed so far, unchecked."""
        self._errors = ErrorDict()
        return self

    def as_sent(self, data: Mapping[str, Any]) -> Self:
        """The same menus, bound to ``data``: to be checked, and asked of the database once."""
        sent = copy(self)
        sent.is_bound, sent.data = True, data
        sent._errors, sent._bound_fields_cache = None, {}
        return sent

    @property
    def sets(self) -> set[str]:
        """The inputs that are datasets or labels, not artifacts."""
        return {name for name, wanted in self.declared.items() if SETS & {*wanted.kinds}}

    @property
    def given(self) -> dict[str, Any]:
        """Keyword arguments of ``services.launch``."""
        chosen = {name: self.cleaned_data[name] for name in self.declared}
        sets = {name: chosen[name] for name in self.sets}
        artifacts = {k: v for k, v in chosen.items() if k not in sets and v is not None}
        about = {"name": self.cleaned_data["name"], "seed": self.cleaned_data["seed"]}
        return {**about, "inputs": artifacts, **sets}


class _Newest(ModelChoiceIterator):  # type: ignore[type-arg]  # generic only in the stubs
    """The newest rows, and the one that is chosen: a menu of thousands would help nobody."""

    def __iter__(self) -> Any:
        if self.field.empty_label is not None:
            yield ("", self.field.empty_label)
        assert isinstance(self.field, _Choice)
        for row in self.field.offered:
            yield self.choice(row)


class _Choice(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic only in the stubs
    iterator = _Newest
    chosen: int | None = None
    # Where the first one is made, while there is none to choose.
    maker: tuple[str, str] | None = None

    @cached_property
    def offered(self) -> list[Any]:
        """The rows of the menu; a page draws it once and asks about it several times."""
        assert self.queryset is not None
        found = list(self.queryset[:MOST])
        if self.chosen is not None and self.chosen not in {row.pk for row in found}:
            found += self.queryset.model._default_manager.filter(pk=self.chosen)
        return found

    def label_from_instance(self, obj: Any) -> str:
        if isinstance(obj, Artifact):
            return f"#{obj.pk} {obj.name}, {obj.get_kind_display()}, {obj.created:%-d %b %H:%M}"
        return str(obj)


def input_field(name: str, wanted: Input) -> forms.Field:
    """A menu of what fits, newest first; a required one starts with the newest."""
    options: Any
    if "dataset" in wanted.kinds:
        # Benchmarks last: they may be evaluated on, and nothing else.
        options = DatasetVersion.objects.select_related("dataset").order_by("is_restricted", "-pk")
    elif "labels" in wanted.kinds:
        options = LabelSet.objects.all()
    else:
        options = Artifact.objects.filter(kind__in=wanted.kinds, freed=None)
    newest = options.first() if wanted.is_required else None
    field = _Choice(
        queryset=options,
        required=wanted.is_required,
        help_text=wanted.help,
        label=humanise(name),
        initial=newest,
        empty_label="Choose" if wanted.is_required else "None",
    )
    if wanted.is_required and newest is None:
        field.maker = maker_of(wanted.kinds[0])
    return field


def maker_of(kind: str) -> tuple[str, str] | None:
    """Where something of ``kind`` is made: what to do, and the address."""
    if kind in ("dataset", "labels"):
        return "Import one", reverse("datasets:import")
    makers = {"base": "base", "adapter": "train", "merged": "merge", "quantised": "export"}
    makers |= {"trajectories": "synthesise", "difficulty": "measure", "answers": "select"}
    return ("Make one", reverse("runs:new", args=[makers[kind]])) if kind in makers else None


class RollBackForm(forms.Form):
    """Where to go back to, and the two knobs that tame a training that broke."""

    step = forms.IntegerField(min_value=0)
    learning_rate = forms.FloatField(required=False, min_value=1e-12, max_value=1)
    clip_norm = forms.FloatField(required=False, min_value=0)

    @property
    def changes(self) -> dict[str, Any]:
        """The knobs that were filled in, nested as the config is."""
        given = {name: self.cleaned_data[name] for name in ("learning_rate", "clip_norm")}
        adam = {name: value for name, value in given.items() if value is not None}
        return {"adam": adam} if adam else {}

    @property
    def first_error(self) -> str:
        """What is wrong, in one sentence."""
        return next(f"{humanise(name)}: {errors[0]}" for name, errors in self.errors.items())
