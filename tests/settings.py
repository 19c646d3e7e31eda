"""The console's settings with what tests change: quick hashing, no broker, plain statics."""

from __future__ import annotations

from kosweb.settings import *  # noqa: F403
from kosweb.settings import DATABASES

# Threads of a test keep their own connection; a pool would hold it past the test's end.
del DATABASES["default"]["OPTIONS"]["pool"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
LEASE_SECONDS = 3
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = True  # static files without collectstatic
