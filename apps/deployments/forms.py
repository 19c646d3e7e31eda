"""What people fill in about deployments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from apps.accounts.models import User
from apps.deployments.comparing import COLUMNS
from apps.deployments.models import Alias, Deployment
from apps.runs.start.forms import ConfigForm
from apps.runs.start.parts import config_form
from apps.tools import mcp
from apps.tools.models import Key
from kos.config import NAME, Remote
from kos.harness.calls import Tool
from kos.tools.registry import all_tools


def remote_form(user: User, data: Mapping[str, Any] | None = None) -> ConfigForm:
    """The knobs of a remote deployment, with menus of what there is to choose."""
    form = config_form(Remote, data, initial=Remote().model_dump(mode="json"))
    names = sorted({key.name for key in Key.objects.usable_by(user)})
    form.fields["secret"] = forms.ChoiceField(
        choices=[("", "None"), *((name, name) for name in names)],
        required=False,
        label="Key",
        help_text="Sent to the server as a bearer token. Keys are added under Tools.",
    )
    asking = form.parts["asking"]
    known: list[Tool] = [*all_tools(), *mcp.tools_of()]
    asking.fields["tools"] = forms.MultipleChoiceField(
        choices=[(tool.name, tool.name) for tool in known],
        required=False,
        widget=forms.SelectMultiple(attrs={"size": 7}),
        help_text="What the model may call. Choose several with Ctrl or Shift.",
    )
    return form


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=400, required=True, help_text="One line for the history.")


class PromoteForm(ReasonForm):
    alias = forms.RegexField(
        NAME,
        max_length=40,
        label="Alias",
        help_text="The name that people and programs ask for, say kos. A new one is made.",
        error_messages={"invalid": "Small letters, digits and hyphens, at most 40."},
    )
    field_order = ["alias", "reason"]


class ShareForm(forms.Form):
    canary = forms.ModelChoiceField(
        queryset=Deployment.objects.none(), required=False, empty_label="None: end the trial"
    )
    percent = forms.IntegerField(min_value=0, max_value=100, initial=10, label="Share, percent")
    reason = forms.CharField(max_length=400)

    def __init__(self, alias: Alias, data: Mapping[str, Any] | None = None) -> None:
        start = {"canary": alias.canary_id, "percent": alias.canary_percent or 10}
        super().__init__(data, initial=start, prefix="share")
        field = self.fields["canary"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Deployment.objects.ready().exclude(pk=alias.deployment_id)
        field.label_from_instance = name_of  # type: ignore[method-assign, assignment]  # this form's


class CompareForm(forms.Form):
    prompts = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="One or several; a line with nothing but --- parts them.",
        initial="How much paracetamol may a healthy adult take in a day?",
    )
    deployments = forms.ModelMultipleChoiceField(
        queryset=Deployment.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        help_text=f"{COLUMNS[0]} to {COLUMNS[1]}; the others are held against the first.",
    )
    max_tokens = forms.IntegerField(min_value=1, max_value=4096, initial=96)
    temperature = forms.FloatField(
        min_value=0, max_value=2, initial=0, help_text="0 takes the likeliest token."
    )

    def __init__(self, data: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(data, **options)
        field = self.fields["deployments"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = Deployment.objects.ready().select_related("artifact").order_by("pk")
        field.label_from_instance = name_of  # type: ignore[method-assign, assignment]  # this form's

    def clean_prompts(self) -> list[str]:
        text = self.cleaned_data["prompts"].replace("\r\n", "\n")
        return [part.strip() for part in text.split("\n---\n") if part.strip()]


class AllowanceForm(forms.Form):
    user = forms.ModelChoiceField(queryset=User.objects.order_by("username"))
    tokens_per_day = forms.IntegerField(min_value=0, max_value=10**12, help_text="0: no limit.")
    requests_per_minute = forms.IntegerField(
        min_value=0, max_value=10**6, help_text="Of each token; 0: no limit."
    )


def name_of(deployment: Any) -> str:
    """A deployment in a menu."""
    return (
        f"{deployment.name} #{deployment.pk}, {deployment.form}, {deployment.get_engine_display()}"
    )
