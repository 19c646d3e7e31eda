"""The form fields of plain knobs: what a browser shows of a pydantic field."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from django import forms
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kos.registry import Registry

LONG = 80
SHORT = 24


class LinesField(forms.CharField):
    """A tuple of words, one a line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else "\n".join(map(str, value))

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return [line.strip() for line in text.splitlines() if line.strip()]


class PairsField(forms.CharField):
    """A mapping, one ``name: value`` a line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return "\n".join(f"{name}: {one}" for name, one in value.items())

    def to_python(self, value: Any) -> Any:
        found = {}
        for line in (super().to_python(value) or "").splitlines():
            name, colon, one = line.partition(":")
            if colon:
                found[name.strip()] = one.strip()
            elif line.strip():
                raise forms.ValidationError(f"“{line.strip()}” needs a colon: name: value.")
        return found


def form_field(name: str, info: FieldInfo) -> forms.Field:
    """The form field of one plain knob, with its help, limits and default."""
    common: dict[str, Any] = {
        "label": humanise(name),
        "help_text": info.description or "",
        "required": False,
        "initial": None if info.is_required() else info.default,
    }
    annotation, is_optional = _stripped(info.annotation)
    if annotation is bool:
        return forms.BooleanField(**common)
    if get_origin(annotation) is Literal:
        return forms.ChoiceField(choices=[(c, c) for c in get_args(annotation)], **common)
    if get_origin(annotation) is tuple:
        return LinesField(widget=forms.Textarea(attrs={"rows": 4}), **common)
    if get_origin(annotation) in (dict, Mapping):
        return PairsField(widget=forms.Textarea(attrs={"rows": 4}), **common)
    if annotation in (int, float):
        return _number_field(annotation, info, common, is_optional=is_optional)
    is_long = isinstance(info.default, str) and len(info.default) > LONG
    widget = forms.Textarea(attrs={"rows": 5}) if is_long else forms.TextInput()
    empty = None if is_optional else ""
    return forms.CharField(widget=widget, strip=False, empty_value=empty, **common)


def limits_of(info: FieldInfo) -> str:
    """The default and the bounds of a plain knob in words: ``Default 10, 1 to 100,000``."""
    said = []
    default = info.default
    if isinstance(default, bool):
        said.append(f"Default {'on' if default else 'off'}")
    elif isinstance(default, (int, float)):
        said.append(f"Default {_number(default)}")
    elif isinstance(default, str) and default and len(default) <= SHORT:
        said.append(f"Default {default}")
    if bounds := _bounds(info):
        said.append(bounds)
    return ", ".join(said)


def _bounds(info: FieldInfo) -> str:
    found: dict[type, Any] = {
        kind: getattr(limit, kind.__name__.lower())
        for limit in info.metadata
        for kind in (Ge, Gt, Le, Lt)
        if isinstance(limit, kind)
    }
    low = found.get(Ge, found.get(Gt))
    high = found.get(Le, found.get(Lt))
    if low is None and high is None:
        return ""
    if high is None:
        return f"{'at least' if Ge in found else 'above'} {_number(low)}"
    below = "" if Le in found else "below "
    if low is None:
        return f"{below or 'at most '}{_number(high)}"
    return f"{'' if Ge in found else 'above '}{_number(low)} to {below}{_number(high)}"


def _number_field(
    annotation: Any, info: FieldInfo, common: dict[str, Any], *, is_optional: bool
) -> forms.Field:
    for limit in info.metadata:
        if isinstance(limit, Ge):
            common["min_value"] = limit.ge
        elif isinstance(limit, Le):
            common["max_value"] = limit.le
        elif isinstance(limit, Gt) and annotation is int:
            common["min_value"] = int(str(limit.gt)) + 1
    common["required"] = not is_optional
    return forms.IntegerField(**common) if annotation is int else forms.FloatField(**common)


def _number(value: Any) -> str:
    """A number as people write it: 100,000 and 1e-05 and 0.68."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _stripped(annotation: Any) -> tuple[Any, bool]:
    """The type without ``| None``, and whether it had it."""
    kinds = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType) and type(None) in kinds:
        others = [kind for kind in kinds if kind is not type(None)]
        return others[0], True
    return annotation, False


def element_of(info: FieldInfo) -> tuple[type[BaseModel] | None, Registry[Any] | None]:
    """What a tuple of models is a tuple of: the model, or the registry to pick each from."""
    kinds = get_args(info.annotation)
    if get_origin(info.annotation) is not tuple or len(kinds) != 2 or kinds[1] is not Ellipsis:
        return None, None
    element = kinds[0]
    registry = None
    if get_origin(element) is Annotated:
        element, *metadata = get_args(element)
        registry = next((m for m in metadata if isinstance(m, Registry)), None)
    is_model = isinstance(element, type) and issubclass(element, BaseModel)
    return (element if is_model else None), registry


def registry_of(info: FieldInfo) -> Registry[Any] | None:
    """The registry a part is picked from by name."""
    return next((m for m in info.metadata if isinstance(m, Registry)), None)


def is_list(info: FieldInfo) -> bool:
    """Whether the knob is an ordered list of parts."""
    return element_of(info)[0] is not None


def is_part(info: FieldInfo) -> bool:
    """Whether the knob is a form of its own: a nested model or a list of them."""
    return isinstance(info.default, BaseModel) or is_list(info)


def plain(value: Any) -> Any:
    """Browsers send a text area's line ends as CR LF."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


def humanise(name: str) -> str:
    """A knob's name as its label."""
    return name.replace("_", " ").capitalize()
