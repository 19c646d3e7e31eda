"""One Run for every kind of job, the events it says, and the artifacts it keeps.

The row is the truth: status, attempt (the fencing token) and lease. The Celery message is a
doorbell that may be lost or doubled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from pydantic import ValidationError

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


def config_of(kind: str, config: Mapping[str, Any]) -> JobConfig | None:
    """The config of ``kind`` that ``config`` says; None where its knobs are not those of today."""
    try:
        return JOBS[kind].model_validate({**config, "kind": kind})
    except ValidationError:
        return None


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
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    notes = models.TextField(blank=True)
    is_archived = models.BooleanField(default=False)
    priority = models.SmallIntegerField(default=0)

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
            models.Index(fields=["kind", "id"], name="run_kind"),
            models.Index(fields=["owner", "-id"], name="run_owner"),
            # Each order of the list, its ties as the list breaks them; migration 0009 adds the
            # trigrams that a search in name and notes goes by.
            models.Index(fields=["name", "id"], name="run_name"),
            models.Index(fields=["status", "id"], name="run_status_order"),
            *(
                models.Index(order, number, name=f"run_{name}_{way}")
                for name in ("started", "ended")
                for way, order, number in (
                    ("up", F(name).asc(nulls_last=True), F("id").asc()),
                    ("down", F(name).desc(nulls_last=True), F("id").desc()),
                )
            ),
            GinIndex(fields=["tags"], name="run_tags"),
            models.Index(
                F("priority").desc(),
                "id",
                condition=Q(status__in=["queued", "lost"]),
                name="run_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind} {self.pk})"

    @property
    def settings(self) -> JobConfig:
        """The frozen config this run was started with."""
        return JOBS[self.kind].model_validate(self.config)

    @property
    def known_settings(self) -> JobConfig | None:
        """The same; None where an older Kos wrote it and its knobs are no longer these."""
        return config_of(self.kind, self.config)

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


class Metric(models.Model):
    """One number of one step; None is one that was not finite.

    A step done again after a crash replaces its numbers. Written and read by ``metrics``.
    """

    pk = models.CompositePrimaryKey("run_id", "name", "step")
    # The key leads with the run already, and the rows come under the run's lock: a check of each
    # would cost as much as the row itself.
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="metrics", db_index=False, db_constraint=False
    )
    name = models.CharField(max_length=120)
    step = models.PositiveIntegerField()
    value = models.FloatField(null=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["step"]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.name} at {self.step}"


class PinnedPanel(models.Model):
    """A chart that somebody wants on the overview of every run of a kind: its metrics' names."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="pinned_panels"
    )
    kind = models.CharField(max_length=20)
    names = models.CharField(max_length=400)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "kind", "names"], name="pinned_panel"),
        ]
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.names


class SavedPreset(models.Model):
    """A start of a form that somebody kept: a kind of job and what differs from its defaults."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="presets"
    )
    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    config = models.JSONField(default=dict)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "kind", "name"], name="preset_name"),
        ]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


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
    format = models.CharField(max_length=40, blank=True, help_text="How its weights are stored")
    base = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="family",
        help_text="The base it stems from, through whatever was made in between",
    )
    is_pinned = models.BooleanField(default=False)
    freed = models.DateTimeField(null=True, blank=True)
    freed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["run", "path"], name="artifact_path")]
        indexes = [
            models.Index(fields=["kind", "-id"], name="artifact_kind"),
            models.Index(fields=["format", "-id"], name="artifact_format"),
            models.Index(fields=["base", "-id"], name="artifact_base"),
            models.Index(fields=["-size_bytes", "-id"], name="artifact_size"),
            models.Index(fields=["name", "id"], name="artifact_name"),
            models.Index(
                fields=["digest"], name="artifact_digest", opclasses=["varchar_pattern_ops"]
            ),
            models.Index(
                fields=["kind"],
                include=["size_bytes"],
                condition=Q(freed__isnull=True),
                name="artifact_storage",
            ),
            models.Index(
                fields=["-id"],
                condition=Q(summary__has_key="survival"),
                name="artifact_survival",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def location(self) -> Path:
        return Path(settings.ARTIFACTS) / self.path

    @property
    def is_model(self) -> bool:
        """Whether it holds weights, and not a report or a file of answers."""
        return self.kind in MODEL_KINDS


MODEL_KINDS = (
    Artifact.Kind.BASE,
    Artifact.Kind.ADAPTER,
    Artifact.Kind.MERGED,
    Artifact.Kind.QUANTISED,
)


class RunInput(models.Model):
    """Which artifact a run works on, by the name its config declares: the lineage's edges."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="inputs")
    name = models.CharField(max_length=40)
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="uses")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="input_name")]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.name}"


class Worker(models.Model):
    """A worker's process, as it was last heard of. The runs that it holds carry its name."""

    name = models.CharField(max_length=120, unique=True)
    host = models.CharField(max_length=120)
    pid = models.PositiveIntegerField()
    queues = ArrayField(models.CharField(max_length=20))
    device = models.CharField(max_length=20)
    slots = models.PositiveSmallIntegerField(default=1)
    started = models.DateTimeField(db_default=Now())
    heard = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["host", "name"]

    def __str__(self) -> str:
        return self.name


class Machine(models.Model):
    """How busy a machine with workers is: what one of them measured last."""

    host = models.CharField(max_length=120, unique=True)
    load = models.JSONField(default=dict)
    heard = models.DateTimeField(null=True)

    class Meta:
        ordering = ["host"]

    def __str__(self) -> str:
        return self.host
