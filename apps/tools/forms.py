"""Forms: a tool's arguments as its declaration says, and a key to keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from apps.accounts.models import User
from apps.tools.models import Key, key_name
from apps.tools.services import KNOWN_KEYS, MAX_KEY_CHARS


class ArgumentsForm(forms.Form):
    """The arguments of one tool, a field each."""

    def __init__(self, schema: Mapping[str, Any], data: Any = None) -> None:
        super().__init__(data, prefix="arg")
        required = schema.get("required", ())
        for name, part in schema["properties"].items():
            self.fields[name] = _field(name, part, is_required=name in required)

    @property
    def arguments(self) -> dict[str, Any]:
        """What was filled in, as the model would have written it."""
        return {
            name: value for name, value in self.cleaned_data.items() if value not in ("", None, [])
        }


class KeyForm(forms.Form):
    name = forms.CharField(
        max_length=80,
        validators=[key_name],
        help_text="One of those below, or a name of your own for a run's configuration.",
        widget=forms.TextInput(attrs={"list": "known-keys", "autocomplete": "off"}),
    )
    owner = forms.ModelChoiceField(
        queryset=User.objects.none(),
        required=False,
        empty_label="Everybody",
        label="Used for",
        help_text="A person's own key goes before everybody's.",
    )
    key = forms.CharField(
        max_length=MAX_KEY_CHARS,
        help_text="It is encrypted and not shown again.",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        owner: Any = self.fields["owner"]
        owner.queryset = User.objects.filter(is_active=True).order_by("username")


def uses_of(keys: list[Key]) -> list[tuple[str, str, bool]]:
    """Each known name, what it is for, and whether a key is there."""
    kept = {key.name for key in keys}
    return [(name, use, name in kept) for name, use in KNOWN_KEYS.items()]


def _field(name: str, part: Mapping[str, Any], *, is_required: bool) -> forms.Field:
    label = name.replace("_", " ").capitalize()
    given: dict[str, Any] = {
        "label": label,
        "required": is_required,
        "help_text": str(part.get("description") or ""),
    }
    if part["type"] == "array":
        choices = [(value, value) for value in part["items"]["enum"]]
        return forms.MultipleChoiceField(
            choices=choices, widget=forms.SelectMultiple(attrs={"size": "6"}), **given
        )
    given["initial"] = part.get("default")
    if "enum" in part:
        return forms.ChoiceField(choices=[(value, value) for value in part["enum"]], **given)
    if part["type"] == "integer":
        return forms.IntegerField(
            min_value=part.get("minimum"), max_value=part.get("maximum"), **given
        )
    return forms.CharField(
        min_length=part.get("minLength"), max_length=part.get("maxLength"), **given
    )
