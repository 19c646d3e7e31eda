"""Restoring a backup into a console that has nothing yet: all of it, or nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from apps.accounts.models import SecondFactor
from apps.accounts.sealing import unseal
from apps.automation.models import Webhook
from apps.tools.models import Key
from kos.errors import UserError
from kos.files import no_room, replace_when_whole
from kosweb.backups import copying, database, manifest
from kosweb.backups.manifest import ARTIFACTS, DATABASE, KEYS, Manifest
from kosweb.backups.progress import Progress, Say

# Below ARTIFACTS, so that what was copied there moves to its place at once.
ASIDE = ".restoring"
SHOWN = 5


def restore(source: Path, say: Say) -> Manifest:
    """Restore the backup in ``source``. Raises UserError before anything is changed."""
    kept = manifest.read(source)
    check_schema(kept)
    check_emptiness()
    check_files(source, kept, say)
    try:
        with _artifacts(source, kept, say):
            database.load(source / DATABASE, say)
    except OSError as error:
        raise UserError(no_room(error, Path(settings.ARTIFACTS)) or str(error)) from error
    say("the database is restored; bringing its tables up to date")
    call_command("migrate", verbosity=0)
    for sentence in (*_restore_keys(source, kept), *_sealed()):
        say(sentence)
    return kept


def check_schema(kept: Manifest) -> None:
    """Older tables are brought up to date afterwards; newer ones nobody here can read."""
    unknown = database.unknown(kept.migrations)
    if unknown:
        raise UserError(
            f"the backup's tables are newer than this Kos: {_some(unknown)}"
            f" {'is' if len(unknown) == 1 else 'are'} not known here. Install revision"
            f" {kept.revision}, which made it, or a newer one, and restore with that"
        )


def check_emptiness() -> None:
    num = database.num_tables()
    if num:
        raise UserError(
            f"the database has {num} tables already, and nothing is ever overwritten: restore"
            " with KOS_VAR naming a new folder, or DATABASE_URL an empty database"
        )
    folder = Path(settings.ARTIFACTS)
    there = (
        [path.name for path in folder.iterdir() if path.name != ASIDE] if folder.exists() else []
    )
    if there:
        raise UserError(
            f"{folder} is not empty ({_some(sorted(there))}), and nothing is ever overwritten:"
            " name a new folder in KOS_ARTIFACTS, or move that away"
        )


def check_files(source: Path, kept: Manifest, say: Say) -> None:
    """Hash every file of the backup; UserError names what is damaged or missing."""
    progress = Progress(say, "checking the backup", kept.size_bytes)
    wrong = []
    for file in kept.files:
        path = source / file.path
        if not path.is_file():
            wrong.append(f"{file.path} is missing")
        elif copying.digest_of(path, progress.add) != file.sha256:
            wrong.append(f"{file.path} is damaged")
    if wrong:
        raise UserError(f"the backup is not whole: {_some(wrong)}; nothing was restored")


@contextmanager
def _artifacts(source: Path, kept: Manifest, say: Say) -> Iterator[None]:
    """The artifacts stand in their places during the block, and go again if that fails."""
    root = Path(settings.ARTIFACTS)
    aside = root / ASIDE
    shutil.rmtree(aside, ignore_errors=True)  # of a restore that was broken off
    aside.mkdir(parents=True)
    files = [file for file in kept.files if file.path.startswith(f"{ARTIFACTS}/")]
    progress = Progress(say, "artifacts", sum(file.size_bytes for file in files))
    for file in files:
        below = Path(file.path).relative_to(ARTIFACTS)
        if copying.copy(source / file.path, aside / below, progress.add) != file.sha256:
            raise UserError(f"{file.path} changed while it was copied; nothing was restored")
    moved = [path.rename(root / path.name) for path in [*aside.iterdir()]]
    try:
        yield
    except BaseException:
        for path in moved:
            path.rename(aside / path.name)
        raise
    aside.rmdir()


def _restore_keys(source: Path, kept: Manifest) -> Iterator[str]:
    if not kept.has_keys:
        return
    known = json.loads((source / KEYS).read_bytes())
    file = settings.VAR / "secret_key"
    is_ours = file.exists() and file.read_text() == settings.SECRET_KEY
    if is_ours and known["secret_key"] != settings.SECRET_KEY:
        # Made a moment ago for a console that had nothing to open with it.
        with replace_when_whole(file) as fresh:
            os.fchmod(fresh.fileno(), 0o600)
            fresh.write(known["secret_key"].encode())
        settings.SECRET_KEY = known["secret_key"]
    elif known["secret_key"] != settings.SECRET_KEY:
        yield f"KOS_SECRET_KEY is another than the backup's: set it to the one in {source / KEYS}"
    if known["encryption_keys"] and known["encryption_keys"] != [*settings.ENCRYPTION_KEYS]:
        yield f"set KOS_ENCRYPTION_KEY to the encryption_keys in {source / KEYS}, with commas"
        settings.ENCRYPTION_KEYS = known["encryption_keys"]


def _sealed() -> Iterator[str]:
    """What of the database this installation's keys do not open."""
    sealed = [
        *Key.objects.values_list("ciphertext", flat=True),
        *Webhook.objects.values_list("secret", flat=True),
        *SecondFactor.objects.values_list("secret", flat=True),
    ]
    num_closed = sum(not _opens(one) for one in sealed)
    connection.close()
    if num_closed:
        yield (
            f"{num_closed} of {len(sealed)} sealed secrets (tools' keys, webhooks', second"
            " factors') cannot be opened here: set KOS_ENCRYPTION_KEY to the secret key or"
            " encryption key of the console that was backed up"
        )


def _opens(ciphertext: str) -> bool:
    try:
        unseal(ciphertext)
    except UserError:
        return False
    return True


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
