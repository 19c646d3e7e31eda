"""The first account of a new installation, so that somebody can sign in."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from apps.accounts.models import Role, User
from apps.accounts.services import make_user


class SignIn(NamedTuple):
    name: str
    password: str
    file: Path

    def __str__(self) -> str:
        return f"{self.name} / {self.password}  ({self.file})"


def first_sign_in() -> SignIn | None:
    """This machine's admin, made once; None where people have accounts of their own.

    The password lies in a file for the owner of this installation alone.
    """
    file = settings.VAR / "sign-in.txt"
    if not file.exists():
        if User.objects.exists():
            return None
        _make(file)
    name, password = file.read_text().split()
    return SignIn(name, password, file)


def _make(file: Path) -> None:
    name, password = "demo", secrets.token_urlsafe(12)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as fresh:
        fresh.write(f"{name}\n{password}\n")
    make_user(name, password, Role.ADMIN)
