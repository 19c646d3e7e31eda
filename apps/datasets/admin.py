from __future__ import annotations

from django.contrib import admin

from apps.datasets.models import Dataset, DatasetVersion, LabelSet


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin[Dataset]):
    list_display = ["name", "created"]


@admin.register(DatasetVersion)
class VersionAdmin(admin.ModelAdmin[DatasetVersion]):
    list_display = ["__str__", "source", "is_restricted", "created"]
    list_filter = ["is_restricted"]
    # A version never changes: what a run was trained on must stay what it was.
    readonly_fields = [field.name for field in DatasetVersion._meta.fields]


@admin.register(LabelSet)
class LabelSetAdmin(admin.ModelAdmin[LabelSet]):
    list_display = ["name", "source", "is_restricted", "created"]
    list_filter = ["is_restricted"]
    readonly_fields = [field.name for field in LabelSet._meta.fields]
