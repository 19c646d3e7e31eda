"""Answers as they were given, with their grades: rollouts, evaluations and chats alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from apps.runs.models import Run

if TYPE_CHECKING:
    from apps.accounts.models import User


class TraceQuerySet(models.QuerySet["Trace"]):
    def visible_to(self, user: User) -> TraceQuerySet:
        return self if user.is_engineer or user.is_reviewer else self.none()


class Trace(models.Model):
    """One answer. The fields are those of ``kos.events.RolloutDone``."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="traces")
    attempt = models.PositiveIntegerField()
    model = models.CharField(max_length=40)
    step = models.PositiveIntegerField(default=0)
    example_id = models.CharField(max_length=120)
    sample = models.PositiveIntegerField(default=0)
    messages = models.JSONField()
    answer = models.TextField()
    thinking = models.TextField(blank=True)
    raw = models.TextField(blank=True)
    num_tokens = models.PositiveIntegerField()
    num_answer_tokens = models.PositiveIntegerField()
    stop_reason = models.CharField(max_length=20)
    score = models.FloatField(null=True)
    reward = models.FloatField(null=True)
    advantage = models.FloatField(null=True)
    components = models.JSONField(default=dict)
    flags = models.JSONField(default=list)
    error = models.TextField(blank=True)
    is_restricted = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    objects = TraceQuerySet.as_manager()

    class Meta:
        constraints = [
            # A step done again after a crash replaces what its first try recorded.
            models.UniqueConstraint(
                fields=["run", "model", "step", "example_id", "sample"], name="trace_place"
            ),
        ]
        ordering = ["step", "example_id", "sample"]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.model} {self.example_id} #{self.sample}"


class Grade(models.Model):
    """One rubric item's verdict on a trace; ``met`` is null while it is ungraded."""

    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, related_name="grades")
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=80)
    text = models.TextField()
    points = models.FloatField()
    met = models.BooleanField(null=True)
    grader = models.CharField(max_length=40)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.key}: {self.met}"
