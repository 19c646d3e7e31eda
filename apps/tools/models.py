"""Keys of outside services, answers kept for a while, and MCP servers elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from apps.accounts.models import User

key_name = RegexValidator(
    r"^[a-z][a-z0-9_.-]{0,79}\Z", "Small letters, digits, _ . and -, beginning with a letter."
)
server_slug = RegexValidator(
    r"^[a-z0-9][a-z0-9-]{0,30}\Z", "Small letters, digits and -, at most 31."
)


class KeyQuerySet(models.QuerySet["Key"]):
    def usable_by(self, user: User | None) -> KeyQuerySet:
        """Those of everybody and, with a user, that user's own."""
        return self.filter(Q(owner=None) | Q(owner=user) if user else Q(owner=None))


class Key(models.Model):
    """A key of an outside service, encrypted. It is written here and never shown again."""

    name = models.CharField(max_length=80, validators=[key_name])
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="keys",
    )
    ciphertext = models.TextField()
    last_four = models.CharField(max_length=4, blank=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    changed = models.DateTimeField(default=timezone.now)

    objects = KeyQuerySet.as_manager()

    class Meta:
        ordering = ["name", "owner_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(owner=None), name="one_shared_key_a_name"
            ),
            models.UniqueConstraint(fields=["name", "owner"], name="one_key_a_name_and_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.name} (…{self.last_four})"


class CachedAnswer(models.Model):
    """What a source answered, until it goes stale. Neither key nor value holds a secret."""

    key = models.CharField(max_length=64, primary_key=True)
    # JSON as text: what comes from outside may hold U+0000, which jsonb refuses.
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


class McpServer(models.Model):
    """An outside MCP server. What it offers counts once somebody has approved it.

    ``command`` names a command in the settings: a form that took commands would run them.
    ``key`` names the key that is sent as its bearer token. ``schema_hashes`` pins what was
    approved, by tool; a tool that describes itself anew is off until it is approved again.
    """

    class Transport(models.TextChoices):
        HTTP = "http", "HTTP"
        STDIO = "stdio", "A command in the settings"

    slug = models.CharField(max_length=31, unique=True, validators=[server_slug])
    transport = models.CharField(max_length=5, choices=Transport, default=Transport.HTTP)
    url = models.URLField(max_length=500, blank=True)
    command = models.CharField(max_length=80, blank=True)
    key = models.CharField(max_length=80, blank=True, validators=[key_name])
    is_enabled = models.BooleanField(default=False)
    allowed_tools = models.JSONField(default=list, blank=True)
    schema_hashes = models.JSONField(default=dict, blank=True)
    declarations = models.JSONField(default=dict, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=(Q(transport="http") & ~Q(url="") & Q(command=""))
                | (Q(transport="stdio") & ~Q(command="") & Q(url="")),
                name="mcp_server_has_an_address",
            )
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def is_approved(self) -> bool:
        return self.approved_at is not None
