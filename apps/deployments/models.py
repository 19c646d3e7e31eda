"""Models that answer: one row a deployment, the aliases they stand behind, and their use."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from apps.runs.models import HELD, Artifact, Run
from kos.config import Asking

if TYPE_CHECKING:
    from apps.accounts.models import User

# Below 1e9 parameters in BF16 a model shows how Kos works and knows no medicine.
DEMONSTRATION_BYTES = 2_000_000_000
# A comparison's process touches its row with every answer's progress; then it is gone.
SILENT = timedelta(seconds=20)


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    def visible_to(self, user: User) -> DeploymentQuerySet:
        """Engineers and admins see every deployment; others choose among the ready ones."""
        return self if user.is_engineer else self.ready()

    def ready(self) -> DeploymentQuerySet:
        # A run whose worker was lost serves nothing, whatever it last said. A remote server
        # needs no run: the one that registered it is over.
        is_served = Q(run__status__in=HELD) | Q(engine=Deployment.Engine.REMOTE)
        return self.filter(is_served, status=Deployment.Status.READY)


class Deployment(models.Model):
    """An artifact on an engine, or a foreign server, with how it is asked."""

    class Status(models.TextChoices):
        STARTING = "starting", "Starting"
        READY = "ready", "Ready"
        STOPPED = "stopped", "Stopped"

    class Engine(models.TextChoices):
        LOCAL = "local", "In process"
        VLLM = "vllm", "vLLM"
        REMOTE = "remote", "Remote server"

    name = models.SlugField(max_length=40)
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="deployment")
    artifact = models.ForeignKey(
        Artifact, null=True, blank=True, on_delete=models.PROTECT, related_name="deployments"
    )
    adapter = models.ForeignKey(
        Artifact, null=True, blank=True, on_delete=models.PROTECT, related_name="adapting"
    )
    engine = models.CharField(max_length=10, choices=Engine, default=Engine.LOCAL)
    status = models.CharField(max_length=10, choices=Status, default=Status.STARTING)
    url = models.CharField(max_length=300, blank=True)
    model = models.CharField(max_length=200, blank=True, help_text="Its name on its own server")
    secret = models.CharField(max_length=80, blank=True, help_text="The name of a key")
    dialect = models.CharField(max_length=20, default="server")
    asking = models.JSONField(default=dict)
    max_context = models.PositiveIntegerField(default=2048)
    warm_up = models.JSONField(default=dict, help_text="The first answer: its text and times")
    num_restarts = models.PositiveIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_remote(self) -> bool:
        return self.engine == self.Engine.REMOTE

    @property
    def is_ready(self) -> bool:
        is_served = self.is_remote or self.run.status in HELD
        return self.status == self.Status.READY and is_served

    @property
    def is_alive(self) -> bool:
        """Whether there is something to stop."""
        return self.status != self.Status.STOPPED and (self.is_remote or self.run.status in HELD)

    @property
    def state(self) -> str:
        """The status as it is now: what no run serves any more is stopped."""
        is_gone = self.status != self.Status.STOPPED and not self.is_alive
        return self.Status.STOPPED if is_gone else self.status

    @property
    def served_model(self) -> str:
        """What its server calls the model."""
        return self.model or self.name

    @property
    def how(self) -> Asking:
        """How it is asked: prompt, tools, sampling."""
        return Asking.model_validate(self.asking)

    @property
    def form(self) -> str:
        """What is served, in two words: to tell apart the columns of a comparison."""
        if self.artifact is None:
            return "Remote"
        kind = str(self.artifact.summary.get("format") or self.artifact.get_kind_display())
        return f"{kind} + online LoRA" if self.adapter_id else kind

    @property
    def is_demonstration(self) -> bool:
        return self.artifact is not None and self.artifact.size_bytes < DEMONSTRATION_BYTES


class Alias(models.Model):
    """A name that people and programs ask for, and which deployment answers to it now."""

    name = models.SlugField(max_length=40, unique=True)
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="aliases")
    canary = models.ForeignKey(
        Deployment, null=True, blank=True, on_delete=models.SET_NULL, related_name="canary_of"
    )
    canary_percent = models.PositiveSmallIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "aliases"
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(canary_percent__lte=100), name="canary_share_is_a_percentage"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Change(models.Model):
    """What was done to a deployment or an alias, by whom and why."""

    class Action(models.TextChoices):
        READY = "ready", "Ready"
        RESTARTED = "restarted", "Restarted after a crash"
        STARTED = "started", "Started again"
        STOPPED = "stopped", "Stopped"
        PROMOTED = "promoted", "Promoted"
        ROLLED_BACK = "rolled_back", "Rolled back"
        SHARED = "shared", "Canary share set"

    action = models.CharField(max_length=12, choices=Action)
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.CASCADE, related_name="changes"
    )
    alias = models.ForeignKey(Alias, null=True, on_delete=models.CASCADE, related_name="changes")
    former = models.ForeignKey(
        Deployment, null=True, on_delete=models.SET_NULL, related_name="replaced"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="changes"
    )
    reason = models.TextField(blank=True)
    is_undone = models.BooleanField(default=False, help_text="A promotion was rolled back")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.alias or self.deployment}"


class Usage(models.Model):
    """One generation: who asked, of what, and what it took. Times are in seconds."""

    class Status(models.TextChoices):
        OK = "ok", "Done"
        STOPPED = "stopped", "Stopped by the caller"
        FAILED = "failed", "Failed"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="usage"
    )
    token_name = models.CharField(max_length=80, blank=True)
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.SET_NULL, related_name="usage"
    )
    source = models.CharField(max_length=10, default="api", help_text="api, chat or evaluation")
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    first_token_seconds = models.FloatField(null=True)
    seconds = models.FloatField(default=0)
    status = models.CharField(max_length=10, choices=Status, default=Status.OK)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "usage"
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["deployment", "created"], name="usage_deployment"),
            models.Index(fields=["user", "created"], name="usage_user"),
        ]

    def __str__(self) -> str:
        return f"{self.completion_tokens} tokens of {self.deployment_id}"

    @property
    def tokens_per_second(self) -> float:
        """After the first token, which waited for the prompt to be read."""
        writing = self.seconds - (self.first_token_seconds or 0)
        return self.completion_tokens / writing if writing > 0 else 0.0


class Allowance(models.Model):
    """What an admin grants a person beyond, or short of, the usual limits."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="allowance"
    )
    tokens_per_day = models.PositiveBigIntegerField(help_text="Of all deployments; 0: no limit.")
    requests_per_minute = models.PositiveIntegerField(help_text="Of each token; 0: no limit.")

    def __str__(self) -> str:
        return f"{self.user}: {self.tokens_per_day} tokens a day"


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    def running(self) -> ComparisonQuerySet:
        return self.filter(status=Comparison.Status.RUNNING)

    def silent(self) -> ComparisonQuerySet:
        """Those whose process is gone."""
        return self.running().filter(touched__lt=Now() - SILENT)


class Comparison(models.Model):
    """The same prompts to several deployments: answers and speed side by side.

    ``columns`` are the deployments as they were (pk, name, what they serve); ``answers`` has one
    list a prompt with one entry a column, None where there is none yet.
    """

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="comparisons"
    )
    prompts = models.JSONField()
    columns = models.JSONField()
    answers = models.JSONField(default=list)
    max_tokens = models.PositiveIntegerField(default=128)
    temperature = models.FloatField(default=0)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    error = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)
    touched = models.DateTimeField(auto_now=True)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"comparison {self.pk}"

    @property
    def is_running(self) -> bool:
        return self.status == self.Status.RUNNING

    @property
    def num_answers(self) -> int:
        return len(self.prompts) * len(self.columns)

    @property
    def num_done(self) -> int:
        cells = [cell for row in self.answers for cell in row]
        return sum(bool(cell) and not cell.get("is_writing") for cell in cells)
