"""Prompts with rubrics, in versions that never change."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from kos.data.rubrics import RubricTask


class Dataset(models.Model):
    """A named set; what it holds lies in its versions."""

    name = models.CharField(max_length=120, unique=True)
    description = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """An immutable content of a dataset, named by the hash over its examples."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    source = models.CharField(max_length=200)
    is_restricted = models.BooleanField(default=False)
    is_demonstration = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="version_number"),
            models.UniqueConstraint(fields=["dataset", "digest"], name="version_digest"),
        ]
        ordering = ["-created", "-pk"]

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"


class Example(models.Model):
    """One task of a version. ``task`` is a ``kos.data.rubrics.RubricTask`` as JSON."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="examples")
    external_id = models.CharField(max_length=120)
    position = models.PositiveIntegerField()
    split = models.CharField(max_length=12)
    use_case = models.CharField(max_length=20)
    specialty = models.CharField(max_length=60, blank=True)
    num_items = models.PositiveIntegerField()
    task = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "external_id"], name="example_id"),
        ]
        indexes = [models.Index(fields=["version", "split", "position"])]
        ordering = ["position"]

    def __str__(self) -> str:
        return self.external_id

    @property
    def rubric_task(self) -> RubricTask:
        return RubricTask.model_validate(self.task)

    @property
    def prompt(self) -> str:
        """The last message, which the answer is to."""
        return str(self.task["messages"][-1]["content"])


class LabelSet(models.Model):
    """Verdicts of people on single criteria: what a judge is measured against."""

    name = models.CharField(max_length=120)
    digest = models.CharField(max_length=64, unique=True)
    source = models.CharField(max_length=200)
    is_restricted = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        ordering = ["-created", "-pk"]

    def __str__(self) -> str:
        return self.name


class LabelledAnswer(models.Model):
    """One answer and one criterion. ``row`` is a ``kos.data.labels.LabelledAnswer`` as JSON."""

    label_set = models.ForeignKey(LabelSet, on_delete=models.CASCADE, related_name="answers")
    position = models.PositiveIntegerField()
    category = models.CharField(max_length=200, blank=True)
    num_labels = models.PositiveIntegerField()
    num_met = models.PositiveIntegerField()
    row = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["label_set", "position"], name="label_position"),
        ]
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.label_set_id}: {self.position}"
