from __future__ import annotations

from django.contrib import admin

from apps.traces.models import Trace


@admin.register(Trace)
class TraceAdmin(admin.ModelAdmin[Trace]):
    list_display = ["pk", "run", "model", "step", "example_id", "score", "created"]
    list_filter = ["model"]
    # A trace is evidence: it is read here, never changed.
    readonly_fields = [field.name for field in Trace._meta.fields]
