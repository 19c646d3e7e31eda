"""The import form and the filters of a version's page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.datasets.models import DatasetVersion, Example
from kos.data.formats import FieldMap
from kos.data.overlap import THRESHOLD

MAX_UPLOAD_BYTES = 200_000_000
ENDINGS = (".jsonl", ".json", ".gz", ".yaml", ".yml")


class ImportForm(forms.Form):
    name = forms.CharField(
        max_length=120,
        help_text="A new name makes a dataset; a known one gets a new version.",
    )
    description = forms.CharField(max_length=300, required=False)
    file = forms.FileField(
        help_text="JSON lines, JSON or YAML; gzip is fine. The format is found by its fields."
    )
    query = forms.CharField(
        label="Prompt",
        required=False,
        max_length=4000,
        help_text="Only for a file that holds one rubric and nothing else.",
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if not file.name.endswith(ENDINGS):
            raise forms.ValidationError(
                f"{file.name} is none of {', '.join(ENDINGS)}; save it as JSON lines"
            )
        if file.size > MAX_UPLOAD_BYTES:
            raise forms.ValidationError(
                f"the file has {file.size / 1e6:.0f} MB; {MAX_UPLOAD_BYTES / 1e6:.0f} is the most"
            )
        return file


class MappingForm(forms.Form):
    """Which field of a row holds what, for files of no known format."""

    prompt = forms.CharField(
        label="Prompt is in",
        required=False,
        max_length=80,
        help_text="A text or a list of messages. Empty: the format is found by itself.",
    )
    id = forms.CharField(label="Id is in", required=False, max_length=80)
    rubric = forms.CharField(
        label="Rubric is in",
        required=False,
        max_length=80,
        help_text="A list of objects with criterion (or requirement, text) and points (or weight).",
    )
    answer = forms.CharField(label="Right answer is in", required=False, max_length=80)
    verifier = forms.ChoiceField(
        label="Answers are compared as",
        required=False,
        choices=[
            (kind, kind.replace("_", " ")) for kind in ("exact", "numeric", "choice", "expr")
        ],
    )
    reference = forms.CharField(label="Reference answer is in", required=False, max_length=80)
    tags = forms.CharField(label="Tags are in", required=False, max_length=80)
    specialty = forms.CharField(label="Specialty is in", required=False, max_length=80)
    split = forms.CharField(label="Split is in", required=False, max_length=80)

    def field_map(self) -> FieldMap | None:
        """What was filled in, or None when no prompt field is named."""
        if not self.is_valid():
            return None
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return FieldMap(**given) if given.get("prompt") else None


class OverlapForm(forms.Form):
    """A second version to hold this one against."""

    evaluation = forms.ModelChoiceField(
        DatasetVersion.objects.select_related("dataset"), label="Evaluation prompts"
    )
    threshold = forms.FloatField(
        min_value=0.05,
        max_value=1,
        initial=THRESHOLD,
        help_text="Share of an evaluation prompt's word runs that a training prompt has too.",
    )


class ExampleFilter(forms.Form):
    """Filters in the URL; the choices are those that occur in the version."""

    split = forms.ChoiceField(required=False)
    use_case = forms.ChoiceField(required=False)
    specialty = forms.ChoiceField(required=False)

    def __init__(self, data: Any, version: DatasetVersion) -> None:
        super().__init__(data)
        for name in self.fields:
            values = version.examples.order_by(name).values_list(name, flat=True).distinct()
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", "All"), *((value, value) for value in values if value)]

    def narrow(self, examples: QuerySet[Example]) -> QuerySet[Example]:
        """``examples`` that fit; a filter with an unknown value is ignored."""
        self.is_valid()
        chosen = {name: value for name, value in self.cleaned_data.items() if value}
        return examples.filter(**chosen)
