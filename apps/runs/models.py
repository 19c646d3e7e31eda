"""One Run for every kind of job, the events it says, and the artifacts it keeps.

The row is the truth: status, attempt (the fencing token) and lease. The Celery message is a
doorbell that may be lost or doubled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.datasets.models import DatasetVersion, LabelSet
from kos.config import JOBS, JobConfig

if TYPE_CHECKING:
    from apps.accounts.models import User


class Status(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    STOPPING = "stopping", "Stopping"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    LOST = "lost", "Lost"


ACTIVE = (Status.QUEUED, Status.RUNNING, Status.STOPPING, Status.LOST)
HELD = (Status.RUNNING, Status.STOPPING)
ENDED = (Status.DONE, Status.FAILED, Status.CANCELLED)


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, user: User) -> RunQuerySet:
        """Engineers and admins see every run; others none."""
        return self if user.is_engineer else self.none()

    def active(self) -> RunQuerySet:
        return self.filter(status__in=ACTIVE)


class Run(models.Model):
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=20)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="runs"
    )
    config = models.JSONField(default=dict)
    dataset = models.ForeignKey(
        DatasetVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="runs"
    )
    benchmark = models.ForeignKey(
        DatasetVersion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="benchmarked",
        help_text="A pipeline's second set to evaluate on",
    )
    label_set = models.ForeignKey(
        LabelSet,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="runs",
        help_text="What a judge is calibrated on",
    )
    seed = models.BigIntegerField(default=0)
    code_revision = models.CharField(max_length=40, blank=True)
    pipeline = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="stages"
    )
    stage = models.CharField(max_length=40, blank=True)

    status = models.CharField(max_length=12, choices=Status, default=Status.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    attempts_left = models.PositiveIntegerField(default=5)
    worker = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    is_stop_requested = models.BooleanField(default=False)
    last_seq = models.BigIntegerField(default=0)
    progress = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)

    created = models.DateTimeField(auto_now_add=True)
    touched = models.DateTimeField(auto_now=True)
    started = models.DateTimeField(null=True, blank=True)
    ended = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["lease_until"],
                condition=Q(status__in=["running", "stopping"]),
                name="run_lease",
            ),
            models.Index(fields=["status", "touched"], name="run_status"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind} {self.pk})"

    @property
    def settings(self) -> JobConfig:
        """The frozen config this run was started with."""
        return JOBS[self.kind].model_validate(self.config)

    @property
    def folder(self) -> Path:
        return Path(settings.ARTIFACTS) / str(self.pk)

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED

    @property
    def can_stop(self) -> bool:
        return self.status in (Status.QUEUED, Status.RUNNING, Status.LOST)

    @property
    def can_resume(self) -> bool:
        return self.status in (Status.FAILED, Status.CANCELLED)


class Event(models.Model):
    """What a run said; ``seq`` counts from 1 without a gap, per run."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    seq = models.BigIntegerField()
    attempt = models.PositiveIntegerField()
    kind = models.CharField(max_length=20)
    data = models.JSONField()
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="event_seq")]
        indexes = [models.Index(fields=["run", "kind", "seq"], name="event_kind")]
        ordering = ["seq"]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.seq} {self.kind}"


class Artifact(models.Model):
    """A file or folder a run kept, with its hash. ``path`` is relative to ARTIFACTS."""

    class Kind(models.TextChoices):
        BASE = "base", "Base"
        TRAJECTORIES = "trajectories", "Tool trajectories"
        DIFFICULTY = "difficulty", "Prompt difficulty"
        ANSWERS = "answers", "Chosen answers"
        PAIRS = "pairs", "Preference pairs"
        ADAPTER = "adapter", "Adapter"
        MERGED = "merged", "Merged BF16"
        CALIBRATION = "calibration", "Calibration"
        QUANTISED = "quantised", "Quantised"
        REPORT = "report", "Report"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="artifacts")
    kind = models.CharField(max_length=12, choices=Kind)
    name = models.CharField(max_length=160)
    path = models.CharField(max_length=400)
    size_bytes = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=64)
    summary = models.JSONField(default=dict)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["run", "path"], name="artifact_path")]

    def __str__(self) -> str:
        return self.name

    @property
    def location(self) -> Path:
        return Path(settings.ARTIFACTS) / self.path


class RunInput(models.Model):
    """Which artifact a run works on, by the name its config declares: the lineage's edges."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="inputs")
    name = models.CharField(max_length=40)
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="uses")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="input_name")]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.name}"
