"""People, their roles, and the tokens their programs use."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone


class Role(models.TextChoices):
    ENGINEER = "engineer", "Engineer"
    CLINICIAN = "clinician", "Clinician"
    REVIEWER = "reviewer", "Reviewer"
    ADMIN = "admin", "Admin"


class User(AbstractUser):
    role = models.CharField(max_length=20, choices=Role, default=Role.CLINICIAN)
    theme = models.CharField(
        max_length=10,
        choices=[("system", "System"), ("light", "Light"), ("dark", "Dark")],
        default="system",
    )
    density = models.CharField(
        max_length=12,
        choices=[("compact", "Compact"), ("cosy", "Cosy"), ("roomy", "Roomy")],
        default="cosy",
    )
    has_shortcuts = models.BooleanField(
        default=True, help_text="Single keys do things: j and k move, ? shows them all."
    )

    @property
    def is_engineer(self) -> bool:
        return self.role in (Role.ENGINEER, Role.ADMIN)

    @property
    def is_reviewer(self) -> bool:
        return self.role in (Role.REVIEWER, Role.ADMIN)

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


class SecondFactor(models.Model):
    """A person's authenticator (TOTP, RFC 6238). It counts once a code of it was given back.

    The secret is sealed. Of the recovery codes there are hashes alone: they are drawn at random
    and long, so a slow hash would gain nothing.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="second_factor")
    secret = models.TextField()
    confirmed = models.DateTimeField(null=True, blank=True)
    last_counter = models.BigIntegerField(
        default=0, help_text="Of the last code that was taken: each one works once."
    )
    recovery = ArrayField(models.CharField(max_length=64), default=list, blank=True)

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"


class Identity(models.Model):
    """Who a person is at an OIDC provider: its issuer and the subject there, never an e-mail.

    Without a subject it waits: an admin said that whoever comes with this e-mail, verified by
    the provider, is that person. The e-mail is the one of that moment, whatever it becomes.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=300)
    subject = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001
    email = models.EmailField(blank=True)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="identity_subject"),
            models.UniqueConstraint(fields=["user", "issuer"], name="identity_user"),
            models.UniqueConstraint(
                Lower("email"),
                "issuer",
                condition=models.Q(subject=None),
                name="identity_awaited",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email or 'somebody'} at {self.issuer}"


class Brake(models.Model):
    """Failed tries of one kind from one place; ``until`` is when the next one is looked at.

    ``key`` is a hash: what somebody typed as a name may well have been a password.
    """

    key = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    until = models.DateTimeField(null=True, blank=True)
    touched = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.failures} failures"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def live(self) -> ApiTokenQuerySet:
        return self.filter(models.Q(expires=None) | models.Q(expires__gt=timezone.now()))


class Scope(models.TextChoices):
    """What a token may be used for. Writing in an area covers reading there."""

    ALL = "all", "Everything I may do"
    RUNS_READ = "runs:read", "Runs and models: read"
    RUNS_WRITE = "runs:write", "Runs and models: start, stop, change"
    DATASETS_READ = "datasets:read", "Datasets: read"
    DATASETS_WRITE = "datasets:write", "Datasets: import and change"
    TRACES_READ = "traces:read", "Traces: read"
    TRACES_WRITE = "traces:write", "Traces: flag"
    EVALS_READ = "evals:read", "Evaluations: read"
    EVALS_WRITE = "evals:write", "Evaluations: override verdicts, gate"
    REVIEWS_READ = "reviews:read", "Reviews: read"
    REVIEWS_WRITE = "reviews:write", "Reviews: take items and judge"
    DEPLOYMENTS_READ = "deployments:read", "Deployments: read"
    DEPLOYMENTS_WRITE = "deployments:write", "Deployments: start, stop, promote"
    CHAT_READ = "chat:read", "Conversations: read"
    CHAT_WRITE = "chat:write", "Conversations: ask and answer"
    MODELS = "models", "Asking models at /v1"
    TOOLS = "tools", "Tools, over REST and over MCP at /mcp"
    ACCOUNT = "account", "My account: tokens, webhooks, search"
    ADMIN = "admin", "Members and limits, for admins"

    @staticmethod
    def covers(held: Iterable[str], needed: str) -> bool:
        """Whether a token with the scopes ``held`` may do what needs ``needed``; "" needs none."""
        held = set(held)
        wanted = {"", Scope.ALL, needed}
        if needed.endswith(":read"):
            wanted.add(needed.removesuffix("read") + "write")
        return not needed or bool(held & wanted)


def _everything() -> list[str]:
    return [Scope.ALL]


class ApiToken(models.Model):
    """A bearer token. Only its hash is kept; the text is shown once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=24, choices=Scope), default=_everything)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField(null=True, blank=True)
    last_used = models.DateTimeField(null=True, blank=True)
    last_address = models.CharField(
        max_length=45, blank=True, help_text="The network it was last used from, not the machine."
    )

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def labelled_scopes(self) -> list[tuple[str, str]]:
        """What it is good for, with the words of each."""
        labels = dict(Scope.choices)
        return [(scope, labels.get(scope, scope)) for scope in self.scopes]

    @staticmethod
    def digest_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    @staticmethod
    def new_text() -> str:
        return f"kos_{secrets.token_urlsafe(32)}"


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    def visible_to(self, user: User) -> SavedViewQuerySet:
        """The user's own, and what others share."""
        return self.filter(models.Q(user=user) | models.Q(is_shared=True))


class SavedView(models.Model):
    """A list with its filters under a name. ``page`` is the list's URL name (``runs:list``)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="views")
    page = models.CharField(max_length=40)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True)
    is_shared = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "page", "name"], name="view_name"),
        ]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Verb(models.TextChoices):
    """What the audit log knows of."""

    SIGNED_IN = "signed_in", "Signed in"
    SIGNED_OUT = "signed_out", "Signed out"
    SIGN_IN_FAILED = "sign_in_failed", "Sign-in failed"
    SIGN_IN_HELD = "sign_in_held", "Sign-in held back after failed ones"
    SECOND_FACTOR_ON = "second_factor_on", "Second factor switched on"
    SECOND_FACTOR_OFF = "second_factor_off", "Second factor switched off"
    SECOND_FACTOR_RESET = "second_factor_reset", "Second factor reset"
    RECOVERY_CODE_USED = "recovery_code_used", "Recovery code used"
    RECOVERY_CODES_MADE = "recovery_codes_made", "Recovery codes made anew"
    IDENTITY_BOUND = "identity_bound", "Outside sign-in bound"
    IDENTITY_AWAITED = "identity_awaited", "Outside sign-in allowed by e-mail"
    IDENTITY_REMOVED = "identity_removed", "Outside sign-in removed"
    PASSWORD_CHANGED = "password_changed", "Password changed"
    SESSION_ENDED = "session_ended", "Session ended"
    TOKEN_MADE = "token_made", "API token made"
    TOKEN_REVOKED = "token_revoked", "API token revoked"
    MEMBER_ADDED = "member_added", "Member added"
    MEMBER_CHANGED = "member_changed", "Member changed"
    PASSWORD_RESET = "password_reset", "Password reset"
    RUN_LAUNCHED = "run_launched", "Run started"
    RUN_STOPPED = "run_stopped", "Run stopped"
    RUN_RESUMED = "run_resumed", "Run resumed"
    RUN_DELETED = "run_deleted", "Run deleted"
    MODEL_DELETED = "model_deleted", "Model deleted"
    DATASET_PUBLISHED = "dataset_published", "Dataset published"
    DEPLOYMENT_STOPPED = "deployment_stopped", "Deployment stopped"
    DEPLOYMENT_PROMOTED = "deployment_promoted", "Deployment promoted"
    DEPLOYMENT_ROLLED_BACK = "deployment_rolled_back", "Deployment rolled back"
    GRADE_OVERRIDDEN = "grade_overridden", "Grade overridden"
    WEBHOOK_MADE = "webhook_made", "Webhook made"
    WEBHOOK_CHANGED = "webhook_changed", "Webhook changed"
    WEBHOOK_DELETED = "webhook_deleted", "Webhook deleted"
    TOOL_KEY_KEPT = "tool_key_kept", "Tool key kept"
    TOOL_KEY_FORGOTTEN = "tool_key_forgotten", "Tool key forgotten"
    MCP_SERVER_ADDED = "mcp_server_added", "MCP server added"
    MCP_TOOLS_APPROVED = "mcp_tools_approved", "MCP tools approved"
    MCP_TOOLS_WITHDRAWN = "mcp_tools_withdrawn", "MCP tools withdrawn"
    MCP_SERVER_REMOVED = "mcp_server_removed", "MCP server removed"
    LIMITS_SET = "limits_set", "Limits set"
    STORAGE_TIDIED = "storage_tidied", "Storage tidied"
    EXPORTED = "exported", "Exported"


# What an admin should see first.
SECURITY = (
    Verb.SIGN_IN_FAILED,
    Verb.SIGN_IN_HELD,
    Verb.SECOND_FACTOR_ON,
    Verb.SECOND_FACTOR_OFF,
    Verb.SECOND_FACTOR_RESET,
    Verb.RECOVERY_CODE_USED,
    Verb.RECOVERY_CODES_MADE,
    Verb.IDENTITY_BOUND,
    Verb.IDENTITY_AWAITED,
    Verb.IDENTITY_REMOVED,
    Verb.PASSWORD_CHANGED,
    Verb.PASSWORD_RESET,
    Verb.SESSION_ENDED,
    Verb.TOKEN_MADE,
    Verb.TOKEN_REVOKED,
    Verb.MEMBER_ADDED,
    Verb.MEMBER_CHANGED,
    Verb.WEBHOOK_MADE,
    Verb.WEBHOOK_CHANGED,
    Verb.WEBHOOK_DELETED,
    Verb.TOOL_KEY_KEPT,
    Verb.TOOL_KEY_FORGOTTEN,
    Verb.MCP_SERVER_ADDED,
    Verb.MCP_TOOLS_APPROVED,
    Verb.MCP_TOOLS_WITHDRAWN,
    Verb.MCP_SERVER_REMOVED,
    Verb.LIMITS_SET,
    Verb.EXPORTED,
)


class AuditEntry(models.Model):
    """Who did what to what, and when. Rows are only ever added (``apps.accounts.audit.note``).

    Names stand beside the references: they outlive whom and what they name.
    """

    at = models.DateTimeField(auto_now_add=True)
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="audited"
    )
    username = models.CharField(max_length=150, blank=True)
    verb = models.CharField(max_length=32, choices=Verb)
    kind = models.CharField(max_length=32, blank=True)
    key = models.CharField(max_length=64, blank=True)
    title = models.CharField(max_length=200, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["verb", "-id"], name="audit_verb"),
            models.Index(fields=["username", "-id"], name="audit_username"),
            models.Index(fields=["kind", "key", "-id"], name="audit_object"),
            models.Index(fields=["at"], name="audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.username}: {self.verb} {self.title}"
