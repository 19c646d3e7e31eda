"""All settings of Kos, and the only place that reads the environment.

Nothing has to be set: a laptop gets an embedded PostgreSQL and Valkey on sockets below
``var``. ``DATABASE_URL`` and ``REDIS_URL`` point the same code at servers.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

import django_stubs_ext
from csp.constants import NONE, SELF
from psycopg.conninfo import conninfo_to_dict

from kosweb import environment
from kosweb.embedded import postgres, valkey

# Lets generic Django classes be written with their types: ``ModelAdmin[Run]``.
django_stubs_ext.monkeypatch()

ROOT = Path(__file__).resolve().parent.parent


def _secret_key(file: Path) -> str:
    """The key of this installation, made on the first start."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as fresh:
            fresh.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return file.read_text()


def _revision() -> str:
    """The commit of this checkout; images carry theirs in KOS_REVISION."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return "unknown"
    return found or "unknown"


# --- Folders, keys, the machine ---------------------------------------------------------------
VAR = environment.path("KOS_VAR", ROOT / "var")
VAR.mkdir(parents=True, exist_ok=True)
ARTIFACTS = environment.path("KOS_ARTIFACTS", VAR / "artifacts")
SECRET_KEY = environment.text("KOS_SECRET_KEY") or _secret_key(VAR / "secret_key")
REVISION = environment.text("KOS_REVISION") or _revision()
DEBUG = environment.flag("KOS_DEBUG")
HOST = environment.text("KOS_HOST", "127.0.0.1")
PORT = environment.number("KOS_PORT", 8000)
POSTGRES_BIN = environment.text("KOS_POSTGRES_BIN")
# How long a web process that is replaced may go on with streams and answers it began.
DRAIN_SECONDS = environment.number("KOS_DRAIN_SECONDS", 30)
# Waiting at OpenMP's barriers for a core that web or database hold costs more than a thread
# gains, so one core is left to them; of two cores the second gains 1.5 times all the same.
CORES = len(os.sched_getaffinity(0))
THREADS = environment.number("KOS_THREADS", CORES if CORES <= 2 else CORES - 1)
# What the jobs of this machine's workers compute on: cpu, cuda:0, cuda:1 ...
DEVICE = environment.text("KOS_DEVICE", "cpu")
HEALTHBENCH = environment.text("KOS_HEALTHBENCH")

# --- Runs -------------------------------------------------------------------------------------
LEASE_SECONDS = environment.number("KOS_LEASE_SECONDS", 15)
# The queues and how many jobs a machine's worker takes from each at a time.
QUEUES = {"cpu": 1, "gpu": 1, "serve": 4}

# How long and how much is kept of what piles up, by kind (apps/runs/storage); else for good:
# {"checkpoints": {"days": 14}, "models": {"gb": 500}}.
RETENTION = environment.json("KOS_RETENTION")

# Where a run's numbers go as well: mlflow, wandb, trackio, each by its library's own variables.
TRACKERS = environment.words("KOS_TRACKERS", "")
TRACKERS_PROJECT = environment.text("KOS_TRACKERS_PROJECT", "kos")

# --- Tools ------------------------------------------------------------------------------------
CORPUS = VAR / "corpus"
# Off line no live source is asked, whatever keys there are.
OFFLINE = environment.flag("KOS_OFFLINE")
# The order of sources by tool, where it is not the usual one: {"search_icd": ["embedded"]}.
TOOL_CHAINS = environment.json("KOS_TOOLS")
TOOL_KEYS = {
    name: key
    for name in (
        "brave",
        "tavily",
        "exa",
        "ncbi",
        "openfda",
        "nhs",
        "who_client_id",
        "who_client_secret",
    )
    if (key := environment.text(f"KOS_KEY_{name.upper()}"))
}
TOOL_OPTIONS = {
    "searxng_url": environment.text("KOS_SEARXNG_URL"),
    "who_url": environment.text("KOS_WHO_URL"),
    "who_release": environment.text("KOS_WHO_RELEASE"),
    "nhs_url": environment.text("KOS_NHS_URL"),
    "email": environment.text("KOS_CONTACT_EMAIL"),
}
# Programs that speak MCP over stdio, by name: {"records": ["/opt/records/mcp", "--stdio"]}.
MCP_COMMANDS = environment.json("KOS_MCP_COMMANDS")
# MCP servers of our own network, as host:port: every other one must be public and https.
MCP_HOSTS = frozenset(environment.words("KOS_MCP_HOSTS", ""))
# What keys of outside services are encrypted with, newest first; the secret key opens too.
ENCRYPTION_KEYS = environment.words("KOS_ENCRYPTION_KEY", "")

# --- Numbers about Kos itself -------------------------------------------------------------------
# Who may read /metrics beside this machine itself: a program with this bearer token.
METRICS_TOKEN = environment.text("KOS_METRICS_TOKEN")
# Where traces go (OTLP over HTTP); nothing is traced, and nothing loaded for it, without it.
TRACES_ENDPOINT = environment.text("OTEL_EXPORTER_OTLP_ENDPOINT")

# --- REST API ---------------------------------------------------------------------------------
# Requests a minute of one token, and of all tokens and the browser of one person; 0: no limit.
API_TOKEN_RATE = environment.number("KOS_API_TOKEN_RATE", 600)
API_USER_RATE = environment.number("KOS_API_USER_RATE", 1200)
# Receivers of webhooks in our own network, as host:port: every other one must be public, https.
WEBHOOK_HOSTS = frozenset(environment.words("KOS_WEBHOOK_HOSTS", ""))

# --- Limits of one web process; 0: none ---------------------------------------------------------
# Pages and streams that follow something: of all people, and of one.
MOST_WATCHERS = environment.number("KOS_MOST_WATCHERS", 2000)
MOST_WATCHERS_OWN = environment.number("KOS_MOST_WATCHERS_OWN", 100)
# Answers that are written at once, at /v1 and in the playground.
MOST_ANSWERS = environment.number("KOS_MOST_ANSWERS", 1000)
MOST_ANSWERS_OWN = environment.number("KOS_MOST_ANSWERS_OWN", 200)
# Pages and calls that are worked on at once: each has a thread.
MOST_REQUESTS = environment.number("KOS_MOST_REQUESTS", 200)
# A body of a page or call, files included; what is larger is refused unread.
MOST_BODY_BYTES = environment.number("KOS_MOST_BODY_BYTES", 256_000_000)

# --- Django -----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "kosweb",
    "apps.accounts",
    "apps.automation",
    "apps.datasets",
    "apps.tools",
    "apps.runs",
    "apps.deployments",
    "apps.traces",
    "apps.evals",
    "apps.reviews",
    "apps.chat",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin",
    "kosweb.static_files.Collected",
    "channels",
    "csp",
    "ninja",  # its documentation page, from our own address
    "django_htmx",
]
MIDDLEWARE = [
    "kosweb.measuring.Measured",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "kosweb.middleware.RequestIds",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "kosweb.middleware.KeptTexts",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "kosweb.urls"
ASGI_APPLICATION = "kosweb.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["apps.accounts.templatetags.pieces"],
        },
    }
]
FORM_RENDERER = "apps.accounts.selects.Renderer"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Database and broker ----------------------------------------------------------------------
DATABASE_URL = environment.text("DATABASE_URL")
REDIS_URL = environment.text("REDIS_URL")


def _database(conninfo: str, password: str) -> dict[str, Any]:
    """Django's form of a PostgreSQL URL; ``password`` (from a secret) beats the URL's."""
    parts: dict[str, Any] = conninfo_to_dict(conninfo)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", "kos"),
        "USER": parts.pop("user", "kos"),
        "PASSWORD": password or parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        # Without the check, the first request after a restart of PostgreSQL fails.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 8, "timeout": 10}, **parts},
    }


DATABASES = {
    "default": _database(DATABASE_URL or postgres.url(VAR), environment.text("DATABASE_PASSWORD"))
}
CELERY_BROKER_URL = REDIS_URL or valkey.url(VAR)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "cpu"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A busy worker would otherwise hold back one waiting message from an idle one.
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Run events travel by LISTEN/NOTIFY (apps.runs.hub), and sockets take what they can read: there
# is no layer of channels whose queues could grow.
CHANNEL_LAYERS: dict[str, Any] = {}

# --- Static files -----------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [ROOT / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Pages name files by their digests alone; a second copy of each would only be compressed as well.
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

# --- People and safety ------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "accounts:sign_in"
_VALIDATORS: dict[str, dict[str, Any]] = {
    "MinimumLengthValidator": {"min_length": 12},
    "UserAttributeSimilarityValidator": {},
    "CommonPasswordValidator": {},
    "NumericPasswordValidator": {},
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in _VALIDATORS.items()
]
# Signing in with an OIDC provider beside the password; off without an issuer.
OIDC_ISSUER = environment.issuer("KOS_OIDC_ISSUER")
OIDC_CLIENT_ID = environment.text("KOS_OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = environment.text("KOS_OIDC_CLIENT_SECRET")
OIDC_NAME = environment.text("KOS_OIDC_NAME")
OIDC_SCOPES = environment.words("KOS_OIDC_SCOPES", "openid,email,profile")
# Who may enter: every one of these that is set must hold. With neither nobody new comes in.
OIDC_DOMAINS = environment.words("KOS_OIDC_DOMAINS", "")
OIDC_GROUPS = environment.words("KOS_OIDC_GROUPS", "")
# The claim that names groups, and the role that a group gives to somebody new.
OIDC_CLAIM = environment.text("KOS_OIDC_CLAIM", "groups")
OIDC_ROLES = environment.choices("KOS_OIDC_ROLES", {"clinician", "reviewer", "engineer", "admin"})
ALLOWED_HOSTS = environment.words("KOS_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
IS_BEHIND_HTTPS = environment.flag("KOS_HTTPS")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_BEHIND_HTTPS else None
SECURE_SSL_REDIRECT = False  # the proxy's work; health checks come without TLS
SECURE_HSTS_SECONDS = 31_536_000 if IS_BEHIND_HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
CSRF_FAILURE_VIEW = "kosweb.views.unsent"
SESSION_COOKIE_NAME = "kos_session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_BEHIND_HTTPS
SESSION_COOKIE_HTTPONLY = True
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# --- Logs -------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"run": {"()": "apps.runs.logs.RunFilter"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname:7} {name} {run}{message}", "style": "{"}
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "filters": ["run"], "formatter": "line"}
    },
    "root": {"handlers": ["console"], "level": environment.text("KOS_LOG_LEVEL", "INFO")},
    "loggers": {name: {"level": "WARNING"} for name in ("httpx", "httpx2", "mcp")},
}
