"""What people and judges say about graded answers beyond the grades that a run left."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from apps.runs.models import Run
from apps.traces.models import Grade
from kos.grading.judge import Judge as JudgeGrader


class OverrideQuerySet(models.QuerySet["Override"]):
    def latest_of(self, run: Run) -> OverrideQuerySet:
        """The override that counts, one a grade; a withdrawn one is among them."""
        of_run = self.filter(grade__trace__run=run)
        return of_run.order_by("grade_id", "-pk").distinct("grade_id")


class Override(models.Model):
    """A person's verdict over a grader's. The grade stays; the latest override counts.

    ``met`` is null when an earlier override is withdrawn and the grader's verdict counts again.
    """

    grade = models.ForeignKey(Grade, on_delete=models.CASCADE, related_name="overrides")
    met = models.BooleanField(null=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="overrides"
    )
    reason = models.TextField()
    created = models.DateTimeField(auto_now_add=True)

    objects = OverrideQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.grade_id}: {self.met} by {self.by_id}"


class Computed(models.Model):
    """Numbers of a run's answers, kept until a grade changes.

    ``basis`` names the grades they were made from (``apps.evals.computing``).
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="computed")
    key = models.CharField(max_length=240)
    basis = models.CharField(max_length=240)
    data = models.JSONField()
    seconds = models.FloatField()
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="computed_key")]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.key}"


class Judge(models.Model):
    """A language model that grades, behind an OpenAI-compatible address.

    Its status changes by ``services.change_status`` alone, which keeps who and why.
    """

    class Status(models.TextChoices):
        TRIAL = "trial", "On trial"
        TRUSTED = "trusted", "Trusted"
        RETIRED = "retired", "Retired"

    name = models.CharField(max_length=60, unique=True)
    url = models.CharField(
        max_length=300,
        validators=[RegexValidator(r"^http(s|\+unix)?://\S+$", "An address begins with http://.")],
        help_text="OpenAI-compatible, without /v1",
    )
    model = models.CharField(max_length=120, help_text="Its name at that address.")
    asks = models.CharField(
        max_length=6,
        choices=[("item", "One item a call"), ("rubric", "The whole rubric at once, shuffled")],
        default="item",
        help_text="One item a call is the standard; all at once is cheaper and depends on order.",
    )
    max_tokens = models.PositiveIntegerField(
        default=1024,
        validators=[MinValueValidator(16), MaxValueValidator(32768)],
        help_text="Longest reply.",
    )
    prompt_price = models.FloatField(
        default=0,
        validators=[MinValueValidator(0)],
        help_text="Dollars for a million tokens it reads; 0 leaves the cost out.",
    )
    completion_price = models.FloatField(
        default=0,
        validators=[MinValueValidator(0)],
        help_text="Dollars for a million tokens it writes.",
    )
    key_name = models.CharField(
        max_length=60, blank=True, help_text="The name under which its key is kept; not the key"
    )
    status = models.CharField(max_length=8, choices=Status, default=Status.TRIAL)
    note = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def grader(self) -> JudgeGrader:
        """The grader that evaluations and calibrations use."""
        return JudgeGrader.model_validate(
            {
                "url": self.url,
                "model": self.model,
                "key": self.key_name,
                "asks": self.asks,
                "max_tokens": self.max_tokens,
            }
        )


class JudgeChange(models.Model):
    """Who trusted, tried or retired a judge, when and why."""

    judge = models.ForeignKey(Judge, on_delete=models.CASCADE, related_name="changes")
    status = models.CharField(max_length=8, choices=Judge.Status)
    reason = models.TextField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="judge_changes"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.judge_id}: {self.status} by {self.by_id}"
