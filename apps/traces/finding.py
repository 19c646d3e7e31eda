"""Traces by number, by example, or by words of question and answer."""

from __future__ import annotations

from django.urls import reverse

from apps.accounts.hits import Hit, number_in
from apps.accounts.models import User
from apps.traces.models import Trace, TraceQuerySet


def find(user: User, words: str, limit: int) -> list[Hit]:
    traces = Trace.objects.visible_to(user)
    number = number_in(words)
    if number is not None:
        return _hits(traces.filter(pk=number), limit)
    exact = _hits(traces.filter(example_id=words).order_by("-pk"), limit)
    # A stop word alone finds nothing, so it costs nothing either.
    return exact or _hits(traces.search(words).order_by("-pk"), limit)


def _hits(traces: TraceQuerySet, limit: int) -> list[Hit]:
    columns = ("pk", "example_id", "sample", "model", "question", "is_restricted")
    return [
        Hit(
            "Traces",
            f"{example} #{sample}",
            f"{model}, {_said(question, is_restricted=is_restricted)}",
            reverse("traces:detail", args=[pk]),
        )
        for pk, example, sample, model, question, is_restricted in traces.values_list(*columns)[
            :limit
        ]
    ]


def _said(question: str, *, is_restricted: bool) -> str:
    """The question in a line; a benchmark's text stays on its own page."""
    return "text not shown" if is_restricted else " ".join(question.split())[:90]
