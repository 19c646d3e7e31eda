"""Filters of the trace list, kept in the URL."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef
from django.utils import timezone

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
# Rows of one moment may be numbered in another order than they were made.
SLACK = 1000
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
    }
    # Found through an index that does not know which is newest, or through none.
    UNORDERED = ("q", "flag", "raised", "tool", "low", "high")

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
        traces = self._between(traces, wanted.get("since"), wanted.get("until"))
        if words := wanted.get("q"):
            traces = traces.search(words)
        return traces.filter(
            **{lookup: wanted[name] for name, lookup in self.LOOKUPS.items() if name in wanted}
        )

    @property
    def is_unordered(self) -> bool:
        """Whether a filter is used that no index answers newest first."""
        self.is_valid()
        return any(self.cleaned_data.get(name) not in (None, "") for name in self.UNORDERED)

    def _between(
        self, traces: TraceQuerySet, since: date | None, until: date | None
    ) -> TraceQuerySet:
        """By the day. The bound on the number too lets PostgreSQL begin at the right end."""
        if since is not None:
            traces = traces.filter(created__gte=_midnight(since))
        if until is not None:
            end = _midnight(until + timedelta(days=1))
            newest = Trace.objects.filter(created__lt=end).order_by("-created").values("pk")[:1]
            last = newest.values_list("pk", flat=True).first() or 0
            traces = traces.filter(created__lt=end, pk__lte=last + SLACK)
        return traces

    def _flagged(self, traces: TraceQuerySet, wanted: dict[str, Any]) -> TraceQuerySet:
        if (flag := wanted.get("flag")) == "any":
            traces = traces.exclude(flags=[])
        elif flag:
            traces = traces.filter(flags__contains=[flag])
        if raised := wanted.get("raised"):
            said = TraceFlag.objects.filter(trace=OuterRef("pk"))
            traces = traces.filter(Exists(said if raised == "any" else said.filter(kind=raised)))
        return traces


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


class AnswerFilter(forms.Form):
    """Which of the item's answers are listed; the numbers above are of all."""

    origin = forms.ChoiceField(required=False, choices=[("", "All"), *Trace.Origin.choices])
    met = forms.ChoiceField(
        required=False,
        label="Verdict",
        choices=[("", "All"), ("yes", "Met"), ("no", "Not met"), ("open", "Ungraded")],
    )
    model = forms.CharField(required=False, max_length=40)
    run = forms.IntegerField(
        required=False, min_value=1, widget=forms.NumberInput(attrs={"size": 6})
    )
    reviewed = forms.BooleanField(required=False, label="Reviewed")

    @property
    def is_used(self) -> bool:
        return any(field.value() for field in self)
