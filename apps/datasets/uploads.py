"""Uploaded files between their preview and the decision to keep them.

A file waits below VAR under a random name; the signed ticket in the form says which user may
save which file, and for how long.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from django.conf import settings
from django.core import signing
from django.core.files.uploadedfile import UploadedFile

from apps.accounts.models import User
from kos.errors import UserError

WAIT_SECONDS = 3600
SALT = "datasets.upload"


def keep(file: UploadedFile[bytes], user: User) -> tuple[str, Path]:
    """Put ``file`` aside; returns the ticket for it and where it lies."""
    _sweep()
    ending = ".yaml" if (file.name or "").endswith((".yaml", ".yml")) else ".jsonl"
    path = _folder() / f"{secrets.token_hex(16)}{ending}"
    with path.open("wb") as target:
        for chunk in file.chunks():
            target.write(chunk)
    ticket = signing.dumps([user.pk, path.name, file.name], salt=SALT)
    return ticket, path


def find(ticket: str, user: User) -> tuple[Path, str]:
    """The file that ``ticket`` stands for, and the name it was uploaded under."""
    try:
        owner, name, original = signing.loads(ticket, salt=SALT, max_age=WAIT_SECONDS)
    except signing.BadSignature as error:
        raise UserError("this preview has ended; upload the file again") from error
    path = _folder() / name
    if owner != user.pk or not path.is_file():
        raise UserError("this preview has ended; upload the file again")
    return path, original


def _folder() -> Path:
    folder = Path(settings.VAR) / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sweep() -> None:
    """Remove what nobody came back for."""
    for path in _folder().iterdir():
        if path.stat().st_mtime < time.time() - WAIT_SECONDS:
            path.unlink(missing_ok=True)
