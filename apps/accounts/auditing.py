"""The page of the audit log, and the same as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.accounts import audit
from apps.accounts.guards import PageRequest, admin
from apps.accounts.models import SECURITY, AuditEntry, User, Verb
from apps.accounts.numerals import number
from apps.accounts.streaming import Streamed

PER_PAGE = 50
COLUMNS = ("at", "username", "verb", "kind", "key", "title", "before", "after", "request_id", "ip")


class AuditFilter(forms.Form):
    who = forms.CharField(required=False, max_length=150, label="Who")
    verb = forms.ChoiceField(
        required=False,
        label="What",
        choices=[("", "Everything"), ("security", "Security"), *Verb.choices],
    )
    kind = forms.CharField(
        required=False,
        max_length=32,
        label="Kind of thing",
        widget=forms.TextInput(attrs={"size": 10}),
    )
    key = forms.CharField(
        required=False,
        max_length=64,
        label="Its number",
        widget=forms.TextInput(attrs={"size": 6}),
    )
    after = forms.DateField(
        required=False, label="From", widget=forms.DateInput(attrs={"type": "date"})
    )
    before = forms.DateField(
        required=False, label="To", widget=forms.DateInput(attrs={"type": "date"})
    )

    def rows(self) -> QuerySet[AuditEntry]:
        """What the filter leaves, newest first; all of it while the form is not valid."""
        return narrow(self.cleaned_data if self.is_valid() else {})


def narrow(asked: Mapping[str, Any]) -> QuerySet[AuditEntry]:
    """The entries that fit, newest first; ``verb`` may be "security"."""
    rows = AuditEntry.objects.all()
    for field, value in {
        "username": asked.get("who"),
        "kind": asked.get("kind"),
        "key": asked.get("key"),
        "at__date__gte": asked.get("after"),
        "at__date__lte": asked.get("before"),
    }.items():
        if value:
            rows = rows.filter(**{field: value})
    if asked.get("verb") == "security":
        return rows.filter(verb__in=SECURITY)
    return rows.filter(verb=asked["verb"]) if asked.get("verb") else rows


@admin
@require_safe
def log(request: PageRequest) -> HttpResponseBase:
    form = AuditFilter(request.GET or None)
    rows = form.rows()
    if request.GET.get("format") == "csv":
        return _as_csv(request, rows)
    before = number(request.GET.get("until", ""))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    # One more than is shown tells whether older ones follow; nothing is counted.
    entries = [*rows[: PER_PAGE + 1]]
    context = {
        "form": form,
        "entries": entries[:PER_PAGE],
        "older": entries[PER_PAGE - 1].pk if len(entries) > PER_PAGE else None,
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "names": User.objects.order_by("username").values_list("username", flat=True)[:500],
    }
    return render(request, "accounts/audit.html", context)


def _as_csv(request: PageRequest, rows: QuerySet[AuditEntry]) -> HttpResponseBase:
    audit.note(request, Verb.EXPORTED, "audit log", filter=request.GET.urlencode())
    answer = Streamed(_lines(rows), content_type="text/csv")
    answer["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return answer


def _lines(rows: QuerySet[AuditEntry]) -> Iterator[str]:
    yield _line(COLUMNS)
    for row in rows.values_list(*COLUMNS).iterator(chunk_size=1000):
        yield _line([_plain(value) for value in row])


def _line(values: Any) -> str:
    line = StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()


def _plain(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets a quote in front."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
