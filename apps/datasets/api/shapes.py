"""What a version looks like over REST, and how a call finds the one it means."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Schema

from apps.accounts.models import Scope
from apps.automation.rest import Room
from apps.datasets.models import DatasetVersion

router = Room("datasets", reading=Scope.DATASETS_READ, writing=Scope.DATASETS_WRITE)


class VersionOut(Schema):
    """A content of a dataset that never changes."""

    id: int
    dataset: int = Field(alias="dataset_id")
    name: str = Field(alias="dataset.name")
    number: int
    digest: str = Field(description="A hash over its examples.")
    source: str
    note: str = Field(description="What is new in it.")
    base: int | None = Field(None, alias="base_id", description="The version it was made from.")
    is_restricted: bool = Field(description="Benchmark text: it is never shown or exported.")
    is_demonstration: bool
    num_examples: int
    num_items: int
    created: datetime


class WorkOut(Schema):
    """Something that takes longer than a call may wait: ask again at `datasets/work/{id}`."""

    id: int
    kind: str
    status: str
    num_done: int
    num_total: int
    result: dict[str, Any] = Field(description="What it found or made, once it is done.")
    error: str


def versions(request: HttpRequest) -> QuerySet[DatasetVersion]:
    """The versions that the caller may see: everybody with an account reads them all."""
    return DatasetVersion.objects.select_related("dataset")


def find(request: HttpRequest, pk: int) -> DatasetVersion:
    """One of them, or 404."""
    return get_object_or_404(versions(request), pk=pk)
