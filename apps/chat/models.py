"""Conversations with a deployed model: a tree of messages, what readers say of them, shares."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorField
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Left, Now
from django.urls import reverse
from django.utils import timezone

from apps.deployments.models import Deployment
from apps.traces.models import SEARCHED_CHARS, Trace, TraceFlag

if TYPE_CHECKING:
    from apps.accounts.models import User

# An answer's process touches its row every few seconds; after this long it is gone.
SILENT = timedelta(seconds=15)


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: User) -> ConversationQuerySet:
        """A conversation is its owner's alone."""
        return self.filter(owner=user)

    def listed(self) -> ConversationQuerySet:
        """Of two side by side the left one stands for both."""
        return self.filter(pairing_right=None)

    def search(self, words: str) -> ConversationQuerySet:
        """Those where a message, or the title, has the words."""
        said = ChatMessage.objects.search(words).filter(conversation=OuterRef("pk"))
        other = ChatMessage.objects.search(words).filter(
            conversation__pairing_right__left=OuterRef("pk")
        )
        return self.filter(Exists(said) | Exists(other) | Q(title__icontains=words))


class Conversation(models.Model):
    """``leaf`` is the last message of the branch that is shown and goes on."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations"
    )
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.SET_NULL, related_name="conversations"
    )
    title = models.CharField(max_length=120)
    leaf = models.ForeignKey(
        "ChatMessage", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created = models.DateTimeField(auto_now_add=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("chat:detail", args=[self.pk])

    @property
    def pairing(self) -> Pairing | None:
        """The two conversations side by side that this is one of."""
        return getattr(self, "pairing_left", None) or getattr(self, "pairing_right", None)


class ChatMessageQuerySet(models.QuerySet["ChatMessage"]):
    def writing(self) -> ChatMessageQuerySet:
        return self.filter(status=ChatMessage.Status.WRITING)

    def silent(self) -> ChatMessageQuerySet:
        """Answers whose process is gone."""
        return self.writing().filter(touched__lt=Now() - SILENT)

    def search(self, words: str) -> ChatMessageQuerySet:
        """Messages with these words; quotes and ``-`` as in a web search."""
        return self.filter(search=SearchQuery(words, config="english", search_type="websearch"))


class ChatMessage(models.Model):
    """A node of a conversation's tree. An edit or a new answer is another child of ``parent``.

    ``tools`` and ``sources`` are ``kos.messages.ToolRecord`` and ``Source`` as JSON;
    ``identifiers`` the kinds of patient identifiers that the reader was warned of and sent.
    """

    class Status(models.TextChoices):
        WRITING = "writing", "Writing"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages"
    )
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children"
    )
    deployment = models.ForeignKey(
        Deployment, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    role = models.CharField(max_length=12)
    content = models.TextField(blank=True)
    thinking = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.DONE)
    error = models.TextField(blank=True)
    flags = models.JSONField(default=list)
    tools = models.JSONField(default=list)
    sources = models.JSONField(default=list)
    versions = models.JSONField(default=dict)
    identifiers = models.JSONField(default=list)
    trace = models.OneToOneField(
        Trace, null=True, blank=True, on_delete=models.SET_NULL, related_name="chat_message"
    )
    num_tokens = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0)
    created = models.DateTimeField(auto_now_add=True)
    touched = models.DateTimeField(auto_now=True)
    search = models.GeneratedField(
        expression=SearchVector(Left("content", SEARCHED_CHARS), config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

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
        indexes = [GinIndex(fields=["search"], name="message_search")]

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:40]}"

    @property
    def is_writing(self) -> bool:
        return self.status == self.Status.WRITING

    @property
    def tokens_per_second(self) -> float:
        return self.num_tokens / self.seconds if self.seconds else 0.0

    def source(self, name: str) -> dict[str, Any] | None:
        """What the answer cites as ``[name]``."""
        return next((source for source in self.sources if source["id"] == name), None)


class Pairing(models.Model):
    """Two deployments on one composer: two conversations that get the same messages.

    While it is blind and without a vote, no page says which deployment is which.
    """

    class Vote(models.TextChoices):
        LEFT = "left", "The left one"
        RIGHT = "right", "The right one"
        TIE = "tie", "Both alike"
        NEITHER = "neither", "Neither is good"

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="pairings"
    )
    left = models.OneToOneField(
        Conversation, on_delete=models.CASCADE, related_name="pairing_left"
    )
    right = models.OneToOneField(
        Conversation, on_delete=models.CASCADE, related_name="pairing_right"
    )
    is_blind = models.BooleanField(default=False)
    vote = models.CharField(max_length=8, choices=Vote, blank=True)
    note = models.TextField(blank=True)
    voted = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.left} {self.vote or 'without a vote'}"

    @property
    def hides_names(self) -> bool:
        return self.is_blind and not self.vote


class Feedback(models.Model):
    """What the reader thinks of an answer. Reasons and the wish for review go to its trace."""

    # The reasons are the trace's flags, so that the review queue can find them.
    Reason = TraceFlag.Kind

    message = models.OneToOneField(ChatMessage, on_delete=models.CASCADE, related_name="feedback")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="feedback"
    )
    is_good = models.BooleanField(null=True)
    reasons = models.JSONField(default=list)
    note = models.TextField(blank=True)
    is_for_review = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    touched = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "feedback"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return {True: "good", False: "bad", None: "no verdict"}[self.is_good]

    @property
    def reason_labels(self) -> list[str]:
        return [self.Reason(reason).label for reason in self.reasons]


def new_token() -> str:
    """The unguessable part of a share's address."""
    return secrets.token_urlsafe(24)


class ShareQuerySet(models.QuerySet["Share"]):
    def live(self) -> ShareQuerySet:
        return self.filter(revoked=None, expires__gt=Now())


class Share(models.Model):
    """A link by which anybody reads a branch as it was when shared, until it ends."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="shares")
    leaf = models.ForeignKey(ChatMessage, on_delete=models.CASCADE, related_name="+")
    token = models.CharField(max_length=40, unique=True, default=new_token)
    shows_model = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    revoked = models.DateTimeField(null=True, blank=True)

    objects = ShareQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.conversation} until {self.expires:%d %b %Y}"

    def get_absolute_url(self) -> str:
        return reverse("chat:shared", args=[self.token])

    @property
    def is_live(self) -> bool:
        return self.revoked is None and self.expires > timezone.now()
