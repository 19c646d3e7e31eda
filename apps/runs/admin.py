from __future__ import annotations

from django.contrib import admin

from apps.runs.models import Artifact, Run


@admin.register(Run)
class RunAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("pk", "name", "kind", "status", "owner", "attempt", "created")
    list_filter = ("status", "kind")
    search_fields = ("name",)
    # Status and lease belong to the services; a changed row here would fool a live worker.
    readonly_fields = tuple(field.name for field in Run._meta.fields if field.name != "name")


@admin.register(Artifact)
class ArtifactAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("pk", "name", "kind", "run", "size_bytes", "created")
    list_filter = ("kind",)
    readonly_fields = ("run", "kind", "path", "digest", "size_bytes", "summary")
