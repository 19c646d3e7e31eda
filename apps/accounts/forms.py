"""What people fill in about themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django import forms

from apps.accounts.models import Scope

LASTING = [("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("", "No end")]
# Areas with their own right to read and to change, in the order of the rail; then single ones.
AREAS = (
    ("Runs and models", Scope.RUNS_READ, Scope.RUNS_WRITE),
    ("Datasets", Scope.DATASETS_READ, Scope.DATASETS_WRITE),
    ("Deployments", Scope.DEPLOYMENTS_READ, Scope.DEPLOYMENTS_WRITE),
    ("Evaluations", Scope.EVALS_READ, Scope.EVALS_WRITE),
    ("Traces", Scope.TRACES_READ, Scope.TRACES_WRITE),
    ("Reviews", Scope.REVIEWS_READ, Scope.REVIEWS_WRITE),
    ("Conversations", Scope.CHAT_READ, Scope.CHAT_WRITE),
)
SINGLE = (Scope.MODELS, Scope.TOOLS, Scope.ACCOUNT, Scope.ADMIN)


class Box(NamedTuple):
    """A scope to tick, and whether it is."""

    scope: str
    label: str
    is_ticked: bool


class TokenForm(forms.Form):
    name = forms.CharField(max_length=80, help_text="What will use it, say “nightly export”.")
    days = forms.ChoiceField(choices=LASTING, initial="90", required=False, label="Ends after")
    reach = forms.ChoiceField(
        choices=[("all", "Everything I may do"), ("some", "Only what is ticked")],
        initial="all",
        required=False,
        label="Good for",
        widget=forms.RadioSelect,
    )
    scopes = forms.MultipleChoiceField(choices=Scope.choices, required=False)

    def clean(self) -> dict[str, Any]:
        """Programs that post neither field make a token for everything, as before."""
        cleaned: dict[str, Any] = super().clean() or {}
        ticked = cleaned.get("scopes") or []
        if cleaned.get("reach") == "some" and not ticked:
            self.add_error("scopes", "Tick what the token is good for, or choose everything.")
        if cleaned.get("reach") == "all" or not ticked:
            cleaned["scopes"] = [str(Scope.ALL)]
        return cleaned

    def areas(self) -> Iterator[tuple[str, Box, Box]]:
        """The table of rights: an area, reading it, changing it."""
        for label, read, write in AREAS:
            yield label, self._box(read, "Read"), self._box(write, "Change")

    def singles(self) -> Iterator[Box]:
        """What is one right alone."""
        for scope in SINGLE:
            yield self._box(scope, scope.label)

    def _box(self, scope: Scope, label: str) -> Box:
        return Box(str(scope), label, str(scope) in (self["scopes"].value() or []))
