"""Filters of the trace list, kept in the URL."""

from __future__ import annotations

from django import forms
from django.db.models import QuerySet

from apps.traces.models import Trace

# kos.evals.detectors names the flags in its table.
FLAGS = ("think_leak", "unclosed_think", "unclosed_call", "repetition", "truncated", "empty")


class TraceFilter(forms.Form):
    run = forms.IntegerField(
        required=False, min_value=1, widget=forms.NumberInput(attrs={"size": 6})
    )
    model = forms.CharField(required=False, max_length=40)
    flag = forms.ChoiceField(
        required=False,
        choices=[("", "All"), ("any", "Any flag"), *((flag, flag) for flag in FLAGS)],
    )
    low = forms.FloatField(required=False, label="Score from")
    high = forms.FloatField(required=False, label="to")

    def narrow(self, traces: QuerySet[Trace]) -> QuerySet[Trace]:
        """``traces`` that fit; a filter that cannot be read is ignored and shown as wrong."""
        self.is_valid()
        wanted = {
            name: value for name, value in self.cleaned_data.items() if value not in (None, "")
        }
        flag = wanted.pop("flag", "")
        if flag == "any":
            traces = traces.exclude(flags=[])
        elif flag:
            traces = traces.filter(flags__contains=[flag])
        lookups = {"run": "run_id", "model": "model", "low": "score__gte", "high": "score__lte"}
        return traces.filter(**{lookups[name]: value for name, value in wanted.items()})
