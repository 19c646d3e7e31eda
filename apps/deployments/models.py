"""Models that answer: one row a deployment, served by the run that deployed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from apps.runs.models import HELD, Artifact, Run

if TYPE_CHECKING:
    from apps.accounts.models import User

# Below 1e9 parameters in BF16 a model shows how Kos works and knows no medicine.
DEMONSTRATION_BYTES = 2_000_000_000


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    def visible_to(self, user: User) -> DeploymentQuerySet:
        """Engineers and admins see every deployment; others choose among the ready ones."""
        return self if user.is_engineer else self.ready()

    def ready(self) -> DeploymentQuerySet:
        # A run whose worker was lost serves nothing, whatever it last said.
        return self.filter(status=Deployment.Status.READY, run__status__in=HELD)


class Deployment(models.Model):
    class Status(models.TextChoices):
        STARTING = "starting", "Starting"
        READY = "ready", "Ready"
        STOPPED = "stopped", "Stopped"

    name = models.SlugField(max_length=40)
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="deployment")
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="deployments")
    status = models.CharField(max_length=10, choices=Status, default=Status.STARTING)
    url = models.CharField(max_length=300, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_ready(self) -> bool:
        return self.status == self.Status.READY and self.run.status in HELD

    @property
    def state(self) -> str:
        """The status as it is now: what no run serves any more is stopped."""
        is_gone = self.status == self.Status.READY and not self.is_ready
        return self.Status.STOPPED if is_gone else self.status

    @property
    def is_demonstration(self) -> bool:
        return self.artifact.size_bytes < DEMONSTRATION_BYTES
