"""People who check graded answers: queues, who works on them, and what they found."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.traces.models import Grade, Trace

if TYPE_CHECKING:
    from apps.accounts.models import User


class QueueQuerySet(models.QuerySet["Queue"]):
    def visible_to(self, user: User) -> QueueQuerySet:
        """Engineers read all; reviewers those they may work on; others none."""
        if user.is_engineer:
            return self
        if not user.is_reviewer:
            return self.none()
        return self.filter(Q(assignments=None) | Q(assignments__user=user)).distinct()


class Queue(models.Model):
    """Answers to review, picked by a rule (``apps.reviews.rules.Rule`` as JSON)."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        CLOSED = "closed", "Closed"

    name = models.CharField(max_length=120, unique=True)
    instructions = models.TextField(blank=True, help_text="What reviewers read above each item.")
    rule = models.JSONField(default=dict)
    size = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(5000)]
    )
    overlap = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text="How many people judge each answer.",
    )
    repeat_percent = models.PositiveSmallIntegerField(
        default=10,
        validators=[MaxValueValidator(50)],
        help_text="Share of answers a reviewer is given a second time, to see how steady they are.",
    )
    is_blind = models.BooleanField(
        default=True, help_text="Hide the grader's verdict until the review is submitted."
    )
    is_accepting = models.BooleanField(
        default=False,
        help_text="A correction that all reviewers agree on counts at once; else it waits to be accepted.",
    )
    seed = models.BigIntegerField(default=0)
    status = models.CharField(max_length=8, choices=Status, default=Status.OPEN)
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    objects = QueueQuerySet.as_manager()

    class Meta:
        ordering = ["status", "-pk"]

    def __str__(self) -> str:
        return self.name


class Assignment(models.Model):
    """Who works on a queue. A queue without any is open to every reviewer."""

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="assignments")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="assignments"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "user"], name="assigned_once")]

    def __str__(self) -> str:
        return f"{self.queue_id}: {self.user_id}"


class Item(models.Model):
    """One answer in a queue. With ``repeat_of`` it is the same answer again, for one reviewer."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        PROPOSED = "proposed", "Corrections to accept"
        DISPUTED = "disputed", "To adjudicate"
        DONE = "done", "Done"

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="items")
    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, related_name="review_items")
    position = models.PositiveIntegerField()
    reasons = models.JSONField(default=list)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    repeat_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="repeats"
    )
    only_for = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="repeat_items",
    )
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="claimed_items",
    )
    claimed_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["queue", "trace"], condition=Q(repeat_of=None), name="item_once"
            ),
            models.UniqueConstraint(
                fields=["repeat_of", "only_for"],
                condition=Q(repeat_of__isnull=False),
                name="repeat_once",
            ),
        ]
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return f"{self.queue_id}/{self.position}"

    def holder(self, now: datetime | None = None) -> User | None:
        """Who has it in hand; nobody once the claim ran out."""
        is_live = self.claimed_until is not None and self.claimed_until > (now or timezone.now())
        return self.claimed_by if is_live else None


class Review(models.Model):
    """What one person found in one item: a draft until it is submitted or skipped."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        SUBMITTED = "submitted", "Submitted"
        SKIPPED = "skipped", "Skipped"

    class Overall(models.TextChoices):
        GOOD = "good", "Good as it is"
        POOR = "poor", "Needs work"
        UNSAFE = "unsafe", "Unsafe"

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews"
    )
    is_adjudication = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    was_blind = models.BooleanField(default=True)
    overall = models.CharField(max_length=8, choices=Overall, blank=True)
    note = models.TextField(blank=True)
    is_flagged = models.BooleanField(default=False)
    started = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "reviewer", "is_adjudication"], name="review_once"
            )
        ]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.item_id} by {self.reviewer_id}"


class Verdict(models.Model):
    """One rubric item as one reviewer saw it, beside what the grader said at that time."""

    class Met(models.TextChoices):
        MET = "met", "Met"
        NOT_MET = "not_met", "Not met"
        UNSURE = "unsure", "Unsure"

    review = models.ForeignKey(Review, on_delete=models.CASCADE, related_name="verdicts")
    grade = models.ForeignKey(Grade, on_delete=models.CASCADE, related_name="verdicts")
    met = models.CharField(max_length=8, choices=Met)
    note = models.TextField(blank=True)
    quote = models.TextField(blank=True)
    judged = models.BooleanField(null=True)
    judge = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["review", "grade"], name="verdict_once")]
        ordering = ["grade__position"]

    def __str__(self) -> str:
        return f"{self.grade_id}: {self.met}"

    @property
    def is_met(self) -> bool | None:
        """As a boolean; None for unsure."""
        return None if self.met == self.Met.UNSURE else self.met == self.Met.MET
