"""The import form and the filters of a version's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from apps.accounts.numerals import number
from apps.datasets.models import DatasetVersion
from kos.data.overlap import THRESHOLD

# In the order of the cells of ``apps.datasets.statistics``.
FILTERS = ("split", "use_case", "difficulty", "specialty")
MAX_UPLOAD_BYTES = 200_000_000
ENDINGS = (".jsonl", ".json", ".gz", ".yaml", ".yml")


class ImportForm(forms.Form):
    name = forms.CharField(
        max_length=120,
        help_text="A new name makes a dataset; a known one gets a new version.",
    )
    description = forms.CharField(max_length=300, required=False)
    note = forms.CharField(
        label="What is new",
        max_length=300,
        required=False,
        help_text="Stays with the version, for those who compare it with the one before.",
    )
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

    def told(self) -> dict[str, str]:
        """What was filled in, to be told to the work that reads the file."""
        if not self.is_valid() or not self.cleaned_data.get("prompt"):
            return {}
        return {name: value for name, value in self.cleaned_data.items() if value}


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


class BrowseForm(forms.Form):
    """Search and filters in the URL; the choices are those that occur in the version."""

    q = forms.CharField(
        label="Search",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": 'words, "a phrase", -not'}),
    )
    split = forms.ChoiceField(required=False)
    use_case = forms.ChoiceField(required=False)
    difficulty = forms.ChoiceField(required=False)
    specialty = forms.ChoiceField(required=False)

    def __init__(self, data: Any, cells: Sequence[Sequence[Any]]) -> None:
        super().__init__(data)
        for place, name in enumerate(FILTERS):
            values = sorted({cell[place] for cell in cells if cell[place]})
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", "All"), *((value, value) for value in values)]

    @property
    def chosen(self) -> dict[str, str]:
        """The filters that are set; one with an unknown value is ignored."""
        self.is_valid()
        return {name: self.cleaned_data[name] for name in FILTERS if self.cleaned_data.get(name)}

    @property
    def words(self) -> str:
        self.is_valid()
        return str(self.cleaned_data.get("q", "")).replace("\x00", "")

    def place(self, name: str) -> int | None:
        """A position from the URL."""
        # As many digits as the column of positions takes.
        return number(str(self.data.get(name, "")), most=9)


class NewForm(forms.Form):
    """A dataset that begins empty."""

    name = forms.CharField(max_length=120)
    description = forms.CharField(max_length=300, required=False)
