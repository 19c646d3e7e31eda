"""Forms of evaluations: filters in the URL, an import, an override, a judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms

from apps.datasets.models import DatasetVersion, LabelSet
from apps.evals.models import Judge

MODES = ("healthbench", "healthbench_len", "unit", "raw")
SORTS = {
    "worst": ("Lowest score first", "score", False),
    "best": ("Highest score first", "score", True),
    "regressed": ("Worst regressions first", "delta", False),
    "improved": ("Best gains first", "delta", True),
    "spread": ("Widest spread first", "spread", True),
    "longest": ("Longest first", "chars", True),
}


class ExampleFilter(forms.Form):
    """Which prompts of a run, and in which order. All of it stands in the URL."""

    q = forms.CharField(required=False, max_length=120, label="Prompt")
    slice = forms.ChoiceField(required=False)
    flag = forms.ChoiceField(required=False)
    state = forms.ChoiceField(
        required=False,
        choices=[
            ("", "All"),
            ("graded", "graded"),
            ("incomplete", "incomplete"),
            ("screened", "screened"),
            ("failed", "failed"),
        ],
    )
    low = forms.FloatField(required=False, label="Score from")
    high = forms.FloatField(required=False, label="to")
    item = forms.CharField(required=False, max_length=120, widget=forms.HiddenInput)
    sort = forms.ChoiceField(
        required=False, choices=[(name, label) for name, (label, _, _) in SORTS.items()]
    )

    def __init__(self, data: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(data)
        self.rows = rows
        pairs = {(family, name) for row in rows for family, name in row["slices"].items()}
        flags = sorted({flag for row in rows for flag in row["flags"]})
        chosen: Any = self.fields["slice"]
        chosen.choices = [
            ("", "All"),
            *((f"{family}={name}", f"{family}: {name}") for family, name in sorted(pairs)),
        ]
        flagged: Any = self.fields["flag"]
        flagged.choices = [
            ("", "All"),
            ("any", "Any flag"),
            ("none", "No flag"),
            *((flag, flag) for flag in flags),
        ]

    def found(self) -> list[Mapping[str, Any]]:
        """The rows that fit, in the order asked for; a filter that cannot be read is passed over."""
        self.is_valid()
        wanted = self.cleaned_data
        rows = [row for row in self.rows if self._fits(row, wanted)]
        _, column, is_down = SORTS.get(wanted.get("sort", ""), SORTS["worst"])
        known = [row for row in rows if row[column] is not None]
        unknown = [row for row in rows if row[column] is None]
        known.sort(key=lambda row: row["id"])
        known.sort(key=lambda row: row[column], reverse=is_down)
        return [*known, *unknown]

    @staticmethod
    def _fits(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
        family, _, name = wanted.get("slice", "").partition("=")
        flag, low, high = wanted.get("flag", ""), wanted.get("low"), wanted.get("high")
        return all(
            (
                not wanted.get("q") or wanted["q"].lower() in row["id"].lower(),
                not family or row["slices"].get(family) == name,
                not wanted.get("state") or wanted["state"] in row["states"],
                not wanted.get("item") or wanted["item"] in row["items"],
                _has_flag(row["flags"], flag),
                low is None or (row["score"] is not None and row["score"] >= low),
                high is None or (row["score"] is not None and row["score"] <= high),
            )
        )


def _has_flag(flags: Iterable[str], wanted: str) -> bool:
    if wanted in ("", "none", "any"):
        return not wanted or bool([*flags]) is (wanted == "any")
    return wanted in flags


class ImportForm(forms.Form):
    """Results of an evaluation made elsewhere."""

    file = forms.FileField(
        help_text="simple-evals' *_allresults.json, or one graded answer a line (.jsonl, .jsonl.gz)."
    )
    name = forms.CharField(max_length=100, help_text="What the evaluation is called here.")
    model = forms.CharField(
        required=False, max_length=40, help_text="Who answered; empty takes the file's name."
    )
    dataset = forms.ModelChoiceField(
        queryset=DatasetVersion.objects.select_related("dataset"),
        required=False,
        empty_label="The file's own prompts",
        help_text="Lends tags and slices where the file has none.",
    )


class JudgeForm(forms.ModelForm[Judge]):
    """A judge; how far it is trusted is changed apart, with a reason."""

    class Meta:
        model = Judge
        fields = [
            *("name", "url", "model", "key_name", "asks", "max_tokens"),
            *("prompt_price", "completion_price", "note"),
        ]
        labels = {"url": "Address", "key_name": "Name of its key"}
        widgets = {"note": forms.Textarea(attrs={"rows": 2})}


class StatusForm(forms.Form):
    """Trusting, trying or retiring a judge."""

    status = forms.ChoiceField(choices=Judge.Status.choices)
    reason = forms.CharField(
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What speaks for it, say its agreement with people.",
    )


class CalibrationForm(forms.Form):
    """What a judge is to be held against."""

    labels = forms.ModelChoiceField(
        queryset=LabelSet.objects.all(), label="Label set", empty_label="Choose"
    )
    max_rows = forms.IntegerField(
        min_value=0,
        initial=0,
        label="Rows",
        help_text="So many, drawn from all categories; 0 takes all.",
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=0)
