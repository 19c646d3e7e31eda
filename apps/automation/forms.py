"""What people fill in about a webhook."""

from __future__ import annotations

from django import forms

from apps.automation.hooks import KINDS


class WebhookForm(forms.Form):
    url = forms.URLField(
        max_length=500,
        label="Address",
        assume_scheme="https",
        help_text="Public and https, say https://ci.example.org/kos.",
    )
    kinds = forms.MultipleChoiceField(
        choices=[(kind, f"{label} ({kind})") for kind, label in KINDS.items()],
        required=False,
        label="Events",
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: all of them.",
    )
    is_for_all = forms.BooleanField(
        required=False, label="Of everybody's work", help_text="Not of mine alone."
    )
