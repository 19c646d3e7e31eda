"""Forms made from the pydantic configs, so that a knob is written once, in kos.

A plain field becomes a form field. A nested model, or a named choice such as the loss,
becomes a part: a form of its own whose prefix is its path (``reward-response``). Pydantic has
the last word: its errors land on the fields they name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from django import forms
from django.forms.boundfield import BoundField
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from apps.datasets.models import DatasetVersion, LabelSet
from apps.runs.models import Artifact
from kos.config import Input, JobConfig
from kos.registry import Registry

KIND = "kind"
# Inputs that lie in the database, not in a run's folder.
SETS = {"dataset", "labels"}
LONG = 80


class LinesField(forms.CharField):
    """A tuple of words, one a line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else "\n".join(value)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return [line.strip() for line in text.splitlines() if line.strip()]


class ConfigForm(forms.Form):
    """Fields for the plain knobs of ``model`` and ``parts`` for its nested ones.

    A valid root form has the frozen ``config``.
    """

    # Not "model": a knob may be called so, and would be lost.
    schema: type[BaseModel]
    registry: Registry[Any] | None = None
    config: BaseModel

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
        return humanise((self.prefix or "").rpartition("-")[2])

    @property
    def note(self) -> str:
        """What the part is, in the words of its docstring's first line."""
        return (self.schema.__doc__ or "").strip().splitlines()[0] if self.schema.__doc__ else ""

    @property
    def menu(self) -> BoundField | None:
        """The menu of kinds, when the part is a named choice."""
        return self[KIND] if self.registry is not None else None

    @property
    def knobs(self) -> list[BoundField]:
        return [self[name] for name in self.fields if name != KIND]

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

    def payload(self) -> dict[str, Any]:
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
    form = config_form(model, initial=model().model_dump(mode="json"))
    for name in path.split("-"):
        if name not in form.parts:
            return None
        form = form.parts[name]
    if form.registry is None or kind not in form.registry:
        return None
    chosen = form.registry[kind]
    return config_form(
        chosen, prefix=path, initial=chosen().model_dump(mode="json"), registry=form.registry
    )


def registry_of(info: FieldInfo) -> Registry[Any] | None:
    return next((m for m in info.metadata if isinstance(m, Registry)), None)


def is_part(info: FieldInfo) -> bool:
    return isinstance(info.default, BaseModel)


def kind_field(registry: Registry[Any], chosen: type[BaseModel]) -> forms.ChoiceField:
    menu = [(cls.model_fields[KIND].default, cls.label()) for cls in registry]
    initial = chosen.model_fields[KIND].default
    return forms.ChoiceField(choices=menu, initial=initial, required=False, label="Kind")


def form_field(name: str, info: FieldInfo) -> forms.Field:
    """The form field of one plain knob, with its help, limits and default."""
    common: dict[str, Any] = {
        "label": humanise(name),
        "help_text": info.description or "",
        "required": False,
        "initial": None if info.is_required() else info.default,
    }
    annotation = info.annotation
    if annotation is bool:
        return forms.BooleanField(**common)
    if get_origin(annotation) is Literal:
        return forms.ChoiceField(choices=[(c, c) for c in get_args(annotation)], **common)
    if get_origin(annotation) is tuple:
        return LinesField(widget=forms.Textarea(attrs={"rows": 4}), **common)
    if annotation in (int, float):
        return number_field(annotation, info, common)
    is_long = isinstance(info.default, str) and len(info.default) > LONG
    widget = forms.Textarea(attrs={"rows": 5}) if is_long else forms.TextInput()
    return forms.CharField(widget=widget, strip=False, **common)


def number_field(annotation: Any, info: FieldInfo, common: dict[str, Any]) -> forms.Field:
    for limit in info.metadata:
        if isinstance(limit, Ge):
            common["min_value"] = limit.ge
        elif isinstance(limit, Le):
            common["max_value"] = limit.le
        elif isinstance(limit, Gt) and annotation is int:
            common["min_value"] = int(str(limit.gt)) + 1
    common["required"] = True
    return forms.IntegerField(**common) if annotation is int else forms.FloatField(**common)


def plain(value: Any) -> Any:
    """Browsers send a text area's line ends as CR LF."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


def humanise(name: str) -> str:
    return name.replace("_", " ").capitalize()


class InputsForm(forms.Form):
    """What a job works on: artifacts and datasets, by the names its config declares."""

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
