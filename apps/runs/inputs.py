"""What a run works on, as a form: artifacts and datasets by the names its config declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from django import forms
from django.forms.utils import ErrorDict

from apps.datasets.models import DatasetVersion, LabelSet
from apps.runs.fields import humanise
from apps.runs.models import Artifact
from kos.config import Input, JobConfig

# Inputs that lie in the database, not in a run's folder.
SETS = {"dataset", "labels"}


class InputsForm(forms.Form):
    """What a job works on: artifacts and datasets, by the names its config declares."""

    _errors: ErrorDict | None  # Django's own: None until the form is checked.

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

    def as_draft(self) -> Self:
        """The form as typed so far, unchecked."""
        self._errors = ErrorDict()
        return self

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


class _Choice(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic only in the stubs
    def label_from_instance(self, obj: Any) -> str:
        if isinstance(obj, Artifact):
            return f"#{obj.pk} {obj.name}, {obj.get_kind_display()}, {obj.created:%-d %b %H:%M}"
        return str(obj)


def input_field(name: str, wanted: Input) -> forms.Field:
    """A menu of what fits; a required one starts with the newest."""
    options: Any
    if "dataset" in wanted.kinds:
        # Benchmarks last: they may be evaluated on, and nothing else.
        options = DatasetVersion.objects.select_related("dataset").order_by("is_restricted", "-pk")
    elif "labels" in wanted.kinds:
        options = LabelSet.objects.all()
    else:
        options = Artifact.objects.filter(kind__in=wanted.kinds)
    return _Choice(
        queryset=options,
        required=wanted.is_required,
        help_text=wanted.help,
        label=humanise(name),
        initial=options.first() if wanted.is_required else None,
        empty_label="Choose" if wanted.is_required else "None",
    )


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
