"""Answers as they were given, with their grades: rollouts, evaluations, chats, API alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorField
from django.db import models
from django.db.models.functions import Left

from apps.runs.models import Run

if TYPE_CHECKING:
    from apps.accounts.models import User

# The words of a text are indexed up to here: PostgreSQL refuses a vector beyond a megabyte.
SEARCHED_CHARS = 100_000
SHOWN_CHARS = 160


class TraceQuerySet(models.QuerySet["Trace"]):
    def visible_to(self, user: User) -> TraceQuerySet:
        return self if user.is_engineer or user.is_reviewer else self.none()

    def search(self, words: str) -> TraceQuerySet:
        """Traces whose question or answer has these words; quotes and ``-`` as in a web search."""
        return self.filter(search=SearchQuery(words, config="english", search_type="websearch"))

    def rows(self) -> TraceQuerySet:
        """What a list shows: of texts their beginnings alone (``asked`` and ``said``)."""
        begun = self.annotate(
            asked=Left("question", SHOWN_CHARS), said=Left("answer", SHOWN_CHARS)
        )
        return begun.select_related("run").defer(
            *("messages", "question", "answer", "raw", "thinking", "turns", "tools", "sources"),
            *("versions", "search", "error"),
            *("run__config", "run__result", "run__progress", "run__error", "run__notes"),
        )


class Trace(models.Model):
    """One answer. The fields are those of ``kos.events.RolloutDone``.

    ``question`` is the last message of the reader, ``tool_names`` the tools that were called and
    ``seconds`` the time from the question to the answer, where it is known.
    """

    class Origin(models.TextChoices):
        ROLLOUT = "rollout", "Rollout"
        EVALUATION = "evaluation", "Evaluation"
        CHAT = "chat", "Chat"
        API = "api", "API"

    run = models.ForeignKey(
        Run, null=True, blank=True, on_delete=models.CASCADE, related_name="traces"
    )
    attempt = models.PositiveIntegerField()
    origin = models.CharField(max_length=12, choices=Origin, default=Origin.ROLLOUT)
    model = models.CharField(max_length=40)
    step = models.PositiveIntegerField(default=0)
    example_id = models.CharField(max_length=120)
    sample = models.PositiveIntegerField(default=0)
    messages = models.JSONField()
    question = models.TextField(blank=True)
    answer = models.TextField()
    thinking = models.TextField(blank=True)
    raw = models.TextField(blank=True)
    turns = models.JSONField(default=list)
    tools = models.JSONField(default=list)
    tool_names = models.JSONField(default=list)
    sources = models.JSONField(default=list)
    versions = models.JSONField(default=dict)
    num_tokens = models.PositiveIntegerField()
    num_answer_tokens = models.PositiveIntegerField()
    seconds = models.FloatField(null=True)
    stop_reason = models.CharField(max_length=20)
    score = models.FloatField(null=True)
    reward = models.FloatField(null=True)
    advantage = models.FloatField(null=True)
    components = models.JSONField(default=dict)
    flags = models.JSONField(default=list)
    error = models.TextField(blank=True)
    is_restricted = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    search = models.GeneratedField(
        expression=SearchVector(
            Left("question", SEARCHED_CHARS), Left("answer", SEARCHED_CHARS), config="english"
        ),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = TraceQuerySet.as_manager()

    class Meta:
        constraints = [
            # A step done again after a crash replaces what its first try recorded.
            models.UniqueConstraint(
                fields=["run", "model", "step", "example_id", "sample"], name="trace_place"
            ),
        ]
        indexes = [
            GinIndex(fields=["search"], name="trace_search"),
            GinIndex(fields=["flags"], name="trace_flags"),
            GinIndex(fields=["tool_names"], name="trace_tools"),
            models.Index(fields=["origin", "-id"], name="trace_origin"),
            models.Index(fields=["model", "-id"], name="trace_model"),
            models.Index(fields=["run", "-id"], name="trace_run"),
            models.Index(fields=["example_id", "-id"], name="trace_example"),
            models.Index(fields=["created"], name="trace_created"),
            models.Index(fields=["score"], name="trace_score"),
            models.Index(fields=["-id"], condition=~models.Q(flags=[]), name="trace_flagged"),
        ]
        ordering = ["step", "example_id", "sample"]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.model} {self.example_id} #{self.sample}"

    @property
    def place(self) -> str:
        """What the trace is called on pages."""
        return f"{self.example_id} #{self.sample}"


class Grade(models.Model):
    """One rubric item's verdict on a trace; ``met`` is null while it is ungraded.

    The fields are those of ``kos.events.ItemGrade``.
    """

    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, related_name="grades")
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=80)
    text = models.TextField()
    points = models.FloatField()
    met = models.BooleanField(null=True)
    grader = models.CharField(max_length=80)
    note = models.TextField(blank=True)
    tags = models.JSONField(default=list)
    raw = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=1)
    seconds = models.FloatField(default=0)
    num_tokens = models.PositiveIntegerField(default=0)
    is_cached = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["key", "-id"], name="grade_key")]
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.key}: {self.met}"


class TraceFlagQuerySet(models.QuerySet["TraceFlag"]):
    def open(self) -> TraceFlagQuerySet:
        """Raised and not yet looked at."""
        return self.filter(settled=None)


class TraceFlag(models.Model):
    """What a reader said is wrong with an answer, or that somebody should look at it.

    The review queue takes what is open; settling it is the queue's work.
    """

    class Kind(models.TextChoices):
        REVIEW = "review", "For review"
        UNSAFE = "unsafe", "Unsafe"
        OUTDATED = "outdated", "Outdated"
        MISSING_RED_FLAG = "missing_red_flag", "Missing red flag"
        INVENTED_ABBREVIATION = "invented_abbreviation", "Invented abbreviation"
        WRONG_SOURCE = "wrong_source", "Wrong source"
        OTHER = "other", "Other"

    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, related_name="raised")
    kind = models.CharField(max_length=24, choices=Kind)
    note = models.TextField(blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="raised_flags",
    )
    created = models.DateTimeField(auto_now_add=True)
    settled = models.DateTimeField(null=True, blank=True)

    objects = TraceFlagQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trace", "by", "kind"], name="flag_once"),
        ]
        indexes = [
            models.Index(
                fields=["-id"], condition=models.Q(settled__isnull=True), name="flag_open"
            )
        ]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.trace_id}: {self.kind}"


def question_of(messages: list[dict[str, Any]]) -> str:
    """The last thing the reader said in a recorded conversation."""
    asked = [message for message in messages if message.get("role") == "user"]
    return str(asked[-1].get("content", "")) if asked else ""
