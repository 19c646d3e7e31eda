"""Conversations with a deployed model."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.safestring import SafeString

from apps.chat import markdown
from apps.deployments.models import Deployment

if TYPE_CHECKING:
    from apps.accounts.models import User

# An answer's process touches its row every few seconds; after this long it is gone.
SILENT = timedelta(seconds=15)

WARNINGS = {
    "think_leak": "Thinking may have leaked into this answer.",
    "unclosed_think": "The model was still thinking when it stopped.",
    "unclosed_call": "A tool call was not finished.",
    "repetition": "The answer repeats itself.",
    "truncated": "The answer was cut at its longest length.",
    "empty": "The model gave no answer.",
    "no_final": "The model kept calling tools and gave no final answer.",
}


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: User) -> ConversationQuerySet:
        """A conversation is its owner's alone."""
        return self.filter(owner=user)


class Conversation(models.Model):
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations"
    )
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.SET_NULL, related_name="conversations"
    )
    title = models.CharField(max_length=120)
    created = models.DateTimeField(auto_now_add=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.title


class ChatMessageQuerySet(models.QuerySet["ChatMessage"]):
    def writing(self) -> ChatMessageQuerySet:
        return self.filter(status=ChatMessage.Status.WRITING)

    def silent(self) -> ChatMessageQuerySet:
        """Answers whose process is gone."""
        return self.writing().filter(touched__lt=Now() - SILENT)


class ChatMessage(models.Model):
    class Status(models.TextChoices):
        WRITING = "writing", "Writing"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages"
    )
    role = models.CharField(max_length=12)
    content = models.TextField(blank=True)
    thinking = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.DONE)
    error = models.TextField(blank=True)
    flags = models.JSONField(default=list)
    num_tokens = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0)
    created = models.DateTimeField(auto_now_add=True)
    touched = models.DateTimeField(auto_now=True)

    objects = ChatMessageQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation"],
                condition=Q(status="writing"),
                name="one_answer_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:40]}"

    @property
    def html(self) -> SafeString:
        """The text as it may stand in a page."""
        return markdown.render(self.content)

    @property
    def is_writing(self) -> bool:
        return self.status == self.Status.WRITING

    @property
    def warnings(self) -> list[str]:
        return [WARNINGS.get(flag, flag) for flag in self.flags]

    @property
    def tokens_per_second(self) -> float:
        return self.num_tokens / self.seconds if self.seconds else 0.0
