"""The import form and the filters of a version's page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.datasets.models import DatasetVersion, Example

MAX_UPLOAD_BYTES = 200_000_000


class ImportForm(forms.Form):
    name = forms.CharField(
        max_length=120,
        help_text="A new name makes a dataset; a known one gets a new version.",
    )
    description = forms.CharField(max_length=300, required=False)
    file = forms.FileField(
        help_text="JSON lines (.jsonl or .jsonl.gz): Kos, HealthBench or HealthBench Professional."
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if not file.name.endswith((".jsonl", ".json", ".jsonl.gz", ".gz")):
            raise forms.ValidationError(
                f"{file.name} is neither .jsonl nor .jsonl.gz; save it as JSON lines"
            )
        if file.size > MAX_UPLOAD_BYTES:
            raise forms.ValidationError(
                f"the file has {file.size / 1e6:.0f} MB; {MAX_UPLOAD_BYTES / 1e6:.0f} is the most"
            )
        return file


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
