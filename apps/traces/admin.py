from __future__ import annotations

from django.contrib import admin

from apps.traces.models import Trace, TraceFlag


@admin.register(Trace)
class TraceAdmin(admin.ModelAdmin[Trace]):
    list_display = ["pk", "run", "origin", "model", "step", "example_id", "score", "created"]
    list_filter = ["origin", "model"]
    # A trace is evidence: it is read here, never changed.
    readonly_fields = [field.name for field in Trace._meta.fields]


@admin.register(TraceFlag)
class TraceFlagAdmin(admin.ModelAdmin[TraceFlag]):
    list_display = ["pk", "trace", "kind", "by", "created", "settled"]
    list_filter = ["kind"]
    raw_id_fields = ["trace"]
