"""Making a backup of a console, which may go on working meanwhile."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from kos.errors import UserError
from kos.files import no_room
from kosweb.backups import copying, database
from kosweb.backups.manifest import (
    ARTIFACTS,
    DATABASE,
    KEYS,
    Manifest,
    StoredArtifact,
    StoredFile,
    write,
)
from kosweb.backups.progress import Progress, Say

Named = tuple[int, str, str, str]  # an artifact: number, name, path, digest


def make(
    target: Path, say: Say, *, models: bool = True, keys: bool = False, links: bool = False
) -> Manifest:
    """Write a backup into ``target``, a folder that is not there yet or empty."""
    _claim(target)
    try:
        return Backup(target, say, links=links).make(models=models, keys=keys)
    except OSError as error:
        raise UserError(no_room(error, target) or f"{target}: {error}") from error


class Backup:
    """One backup in the making."""

    def __init__(self, target: Path, say: Say, *, links: bool) -> None:
        self.target = target
        self.say = say
        self.bring = copying.link if links else copying.copy
        self.files: list[StoredFile] = []
        self.artifacts: list[StoredArtifact] = []
        self.left_out: list[str] = []

    def make(self, *, models: bool, keys: bool) -> Manifest:
        with database.moment() as seen:
            database.dump(self.target / DATABASE, seen, self.say)
        self._add(DATABASE, copying.digest_of(self.target / DATABASE, _nobody))
        if keys:
            self._write_keys()
        if models:
            self._take(seen.artifacts)
        manifest = Manifest(
            made=datetime.now(UTC),
            revision=settings.REVISION,
            migrations=seen.migrations,
            files=self.files,
            artifacts=self.artifacts,
            left_out=self.left_out,
            has_models=models,
            has_keys=keys,
        )
        write(self.target, manifest)
        return manifest

    def _take(self, named: list[Named]) -> None:
        places = {path: Path(settings.ARTIFACTS) / path for _, _, path, _ in named}
        sizes = (file.stat().st_size for file in _all_files(places.values()))
        progress = Progress(self.say, "artifacts", sum(sizes))
        for pk, name, path, digest in named:
            found, digests = self._bring(path, places[path], progress)
            if found != digest:
                self._drop(path)
            if not digests:
                self.left_out.append(f"{name} (artifact {pk}): its files at {path} are gone")
            elif found != digest:
                self.left_out.append(
                    f"{name} (artifact {pk}): its files at {path} are not what was kept; their"
                    f" hash is {found[:12]}, it was {digest[:12]}"
                )
            else:
                for below, sha256 in digests.items():
                    self._add(f"{ARTIFACTS}/{below}", sha256)
                self.artifacts.append(StoredArtifact(pk=pk, name=name, path=path, digest=digest))

    def _bring(self, path: str, place: Path, progress: Progress) -> tuple[str, dict[str, str]]:
        """Bring one artifact's files; its hash, and theirs by their paths below ARTIFACTS."""
        brought: dict[Path, str] = {}
        try:
            for file in copying.files_in(place):
                below = Path(path) / file.relative_to(place)
                brought[file] = self.bring(file, self.target / ARTIFACTS / below, progress.add)
        except FileNotFoundError:
            # Somebody deleted the model meanwhile, which is their right.
            return "", {}
        below_all = {
            (Path(path) / file.relative_to(place)).as_posix(): sha256
            for file, sha256 in brought.items()
        }
        return copying.folder_digest(place, brought), below_all

    def _drop(self, path: str) -> None:
        """What is not kept shall not take room either."""
        place = self.target / ARTIFACTS / path
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def _add(self, path: str, sha256: str) -> None:
        size = (self.target / path).stat().st_size
        self.files.append(StoredFile(path=path, sha256=sha256, size_bytes=size))

    def _write_keys(self) -> None:
        path = self.target / KEYS
        known = {
            "secret_key": settings.SECRET_KEY,
            "encryption_keys": [*settings.ENCRYPTION_KEYS],
        }
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(known, file)
        self._add(KEYS, copying.digest_of(path, _nobody))


def _claim(target: Path) -> None:
    """Make the folder, for its owner alone: password hashes and answers will lie in it."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is not empty; name a folder that is not there yet")
    inside = target.resolve()
    if inside.is_relative_to(Path(settings.ARTIFACTS).resolve()):
        raise UserError(f"{target} lies among the artifacts that are kept; name another place")
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{target} cannot be made ({error}); name another folder") from error
    target.chmod(0o700)


def _all_files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        yield from copying.files_in(place)


def _nobody(num_bytes: int) -> None:
    """Counts for nobody."""
