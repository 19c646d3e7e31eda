"""What programs lean on: replies kept for a repeated call, and webhooks with their deliveries."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

OVERLAP = timedelta(hours=24)


class KeptReply(models.Model):
    """The reply to a call that carried an ``Idempotency-Key``; ``status`` is null while it works."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    key = models.CharField(max_length=128)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=400)
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=b"")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="reply_key"),
        ]
        indexes = [models.Index(fields=["created"], name="reply_created")]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Webhook(models.Model):
    """An address that is told of events. Both secrets are sealed; the older one ends in a day."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhooks"
    )
    url = models.URLField(max_length=500)
    kinds = ArrayField(models.CharField(max_length=40), default=list)
    secret = models.TextField()
    old_secret = models.TextField(blank=True)
    rotated = models.DateTimeField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    is_for_all = models.BooleanField(
        default=False, help_text="Told of what everybody does, and not of the owner's work alone."
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.url

    @property
    def old_secret_ends(self) -> datetime | None:
        """Until when the secret before this one signs too."""
        return self.rotated + OVERLAP if self.rotated and self.old_secret else None

    @property
    def has_two_secrets(self) -> bool:
        """Whether the secret before this one signs too: for a day after a rotation."""
        return bool(self.old_secret and self.rotated and timezone.now() - self.rotated < OVERLAP)


class Delivery(models.Model):
    """One event on its way to one webhook, with what came of the last try."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    kind = models.CharField(max_length=40)
    body = models.JSONField()
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    due = models.DateTimeField()
    reply_status = models.PositiveSmallIntegerField(null=True)
    reply = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["due"], condition=models.Q(status="waiting"), name="delivery_due"
            ),
            models.Index(fields=["webhook", "-id"], name="delivery_webhook"),
        ]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.kind} to {self.webhook_id}"
