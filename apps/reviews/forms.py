"""Forms of reviewing: a queue with its rule, and the verdicts on one item."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.http import QueryDict

from apps.accounts.models import Role, User
from apps.reviews.models import Queue, Verdict
from apps.reviews.rules import Rule
from apps.reviews.services import Said
from apps.traces.forms import FLAGS
from apps.traces.models import Grade, Trace

REASONS = ("reported", "ungraded", "disagreement", "polarity", "penalties")
SCOPE = ("origin", "run", "model", "score_from", "score_to")


class QueueForm(forms.ModelForm[Queue]):
    """A queue: what it is called, which answers it takes, who works on it and how."""

    origin = forms.ChoiceField(
        required=False,
        choices=[("", "Every origin"), *Trace.Origin.choices],
        help_text="Where the answers come from.",
    )
    run = forms.IntegerField(required=False, min_value=1, label="Run", help_text="Its number.")
    model = forms.CharField(required=False, max_length=40, help_text="base, trained, policy …")
    score_from = forms.FloatField(required=False, label="Score from")
    score_to = forms.FloatField(required=False, label="Score to")
    flags = forms.MultipleChoiceField(
        required=False,
        choices=[("any", "Any flag"), *((flag, flag) for flag in FLAGS)],
        widget=forms.CheckboxSelectMultiple,
        label="Flags of the detectors",
    )
    reported = forms.BooleanField(required=False, label="Flagged by a reader in the playground")
    ungraded = forms.BooleanField(required=False, label="An item without a verdict")
    disagreement = forms.BooleanField(required=False, label="Two graders differ on an item")
    polarity = forms.BooleanField(required=False, label="The explanation contradicts the verdict")
    penalties = forms.BooleanField(required=False, label="A penalty was given")
    random_percent = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=100,
        label="Random share of the others, in percent",
        help_text="Without a random share, agreement holds for odd answers only.",
    )
    people = forms.ModelMultipleChoiceField(
        queryset=User.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Who works on it",
        help_text="Nobody ticked: every reviewer.",
    )

    class Meta:
        model = Queue
        fields = [
            *("name", "instructions", "size", "overlap", "repeat_percent", "seed"),
            *("is_blind", "is_accepting"),
        ]
        labels = {
            "size": "Answers",
            "overlap": "People an answer",
            "repeat_percent": "Shown twice, in percent",
            "is_blind": "Blind: hide the grader's verdict until the review is in",
            "is_accepting": "Agreed corrections count at once",
        }
        widgets = {"instructions": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people: Any = self.fields["people"]
        people.queryset = User.objects.filter(
            role__in=(Role.REVIEWER, Role.ADMIN), is_active=True
        ).order_by("username")
        if self.instance.pk and not self.is_bound:
            self.initial.update(self.instance.rule)
            self.initial["people"] = [one.user_id for one in self.instance.assignments.all()]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and not self.rule.has_reason:
            raise forms.ValidationError(
                "This rule takes nothing: tick a reason or give a random share."
            )
        return cleaned

    @property
    def rule(self) -> Rule:
        """The rule the fields describe."""
        names = (*SCOPE, *REASONS, "flags", "random_percent")
        values = {name: self.cleaned_data.get(name) for name in names}
        return Rule.model_validate({k: v for k, v in values.items() if v not in (None, "", [])})

    def save(self, commit: bool = True) -> Queue:
        self.instance.rule = self.rule.model_dump(mode="json", exclude_defaults=True)
        return super().save(commit)


def said_of(data: QueryDict, grades: Iterable[Grade]) -> dict[int, Said]:
    """The verdicts a form sent, by grade id; an item left open is left out."""
    found = {}
    for grade in grades:
        met = data.get(f"met-{grade.pk}", "")
        if met in Verdict.Met.values:
            found[grade.pk] = Said(
                met, data.get(f"note-{grade.pk}", ""), data.get(f"quote-{grade.pk}", "")
            )
    return found
