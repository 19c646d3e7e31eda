"""The static files that pages are served: which, and bringing them up to date."""

from __future__ import annotations

import hashlib

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


class Collected(StaticFilesConfig):
    """Without Ninja's second documentation page (4 MB), and without an htmx beside the vendored."""

    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "redoc*", "django_htmx"]


def collect() -> bool:
    """Collect the static files unless they are what was collected last; True if it did."""
    stamp = settings.STATIC_ROOT / ".collected"
    digest = _digest()
    if stamp.exists() and stamp.read_text() == digest:
        return False
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(digest)
    return True


def _digest() -> str:
    """Of all names and contents."""
    unused = apps.get_app_config("staticfiles").ignore_patterns  # type: ignore[attr-defined]
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in sorted(finder.list(unused), key=lambda found: found[0]):
            with storage.open(path) as file:
                digest.update(path.encode() + b"\0" + file.read())
    return digest.hexdigest()
