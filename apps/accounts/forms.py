"""What people fill in about themselves."""

from __future__ import annotations

from django import forms

from apps.accounts.models import Scope

LASTING = [("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("", "No end")]


class TokenForm(forms.Form):
    name = forms.CharField(max_length=80, help_text="What will use it, say “nightly export”.")
    days = forms.ChoiceField(choices=LASTING, initial="90", required=False, label="Ends after")
    scope = forms.ChoiceField(
        choices=Scope.choices, initial=Scope.ALL, required=False, label="Good for"
    )

    def clean_scope(self) -> str:
        """Programs that post without the field make a token for everything, as before."""
        return str(self.cleaned_data["scope"] or Scope.ALL)
