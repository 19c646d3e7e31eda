"""Filters of the trace list, kept in the URL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef

from apps.traces.models import Trace, TraceFlag, TraceQuerySet
from kos.evals.regressions import SEEN_IN

# kos.evals.detectors names the flags in its table; the rest are the harness's and the chat's.
USUAL_FLAGS = (
    "think_leak",
    "unclosed_think",
    "unclosed_call",
    "repetition",
    "truncated",
    "empty",
    "no_final",
    "unsupported_url",
    "unknown_citation",
    "identifiers",
)
FLAGS = (*USUAL_FLAGS, *sorted(frozenset().union(*SEEN_IN.values()) - {*USUAL_FLAGS}))


class TraceFilter(forms.Form):
    q = forms.CharField(
        required=False,
        max_length=200,
        label="Words",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "In question or answer"}),
    )
    origin = forms.ChoiceField(required=False, choices=[("", "All"), *Trace.Origin.choices])
    model = forms.CharField(required=False, max_length=40)
    run = forms.IntegerField(
        required=False, min_value=1, widget=forms.NumberInput(attrs={"size": 6})
    )
    example = forms.CharField(required=False, max_length=120)
    flag = forms.ChoiceField(
        required=False,
        choices=[("", "All"), ("any", "Any flag"), *((flag, flag) for flag in FLAGS)],
    )
    raised = forms.ChoiceField(
        required=False,
        label="Readers say",
        choices=[("", "All"), ("any", "Anything"), *TraceFlag.Kind.choices],
    )
    tool = forms.CharField(required=False, max_length=64)
    low = forms.FloatField(required=False, label="Score from")
    high = forms.FloatField(required=False, label="to")
    since = forms.DateField(
        required=False, label="From", widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        required=False, label="to", widget=forms.DateInput(attrs={"type": "date"})
    )

    # The rest is folded until one of it is used.
    FIRST = ("q", "origin", "flag", "tool")
    LOOKUPS = {
        "origin": "origin",
        "run": "run_id",
        "model": "model",
        "example": "example_id",
        "low": "score__gte",
        "high": "score__lte",
        "since": "created__date__gte",
    }

    @property
    def first(self) -> list[forms.BoundField]:
        return [self[name] for name in self.FIRST]

    @property
    def more(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in self.FIRST]

    @property
    def has_more(self) -> bool:
        """Whether one of the folded filters is in use."""
        return any(field.value() for field in self.more)

    def narrow(self, traces: TraceQuerySet) -> TraceQuerySet:
        """``traces`` that fit; a filter that cannot be read is ignored and shown as wrong."""
        self.is_valid()
        wanted = {
            name: value for name, value in self.cleaned_data.items() if value not in (None, "")
        }
        traces = self._flagged(traces, wanted)
        if tool := wanted.get("tool"):
            traces = traces.filter(tool_names__contains=[tool])
        if until := wanted.get("until"):
            traces = traces.filter(created__date__lt=until + timedelta(days=1))
        if words := wanted.get("q"):
            traces = traces.search(words)
        return traces.filter(
            **{lookup: wanted[name] for name, lookup in self.LOOKUPS.items() if name in wanted}
        )

    def _flagged(self, traces: TraceQuerySet, wanted: dict[str, Any]) -> TraceQuerySet:
        if (flag := wanted.get("flag")) == "any":
            traces = traces.exclude(flags=[])
        elif flag:
            traces = traces.filter(flags__contains=[flag])
        if raised := wanted.get("raised"):
            said = TraceFlag.objects.filter(trace=OuterRef("pk"))
            traces = traces.filter(Exists(said if raised == "any" else said.filter(kind=raised)))
        return traces
