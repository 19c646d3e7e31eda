"""Bases, adapters, merged and quantised checkpoints: their lineage, and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import httpx

from kos.client.errors import DamagedError, KosError
from kos.client.rows import Artifact, File, Progress
from kos.client.wire import PASSING, Wire, pause
from kos.digests import digest_of


class Models:
    """``kos.models``: every artifact that a run kept."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(
        self, *, kind: str | None = None, limit: int | None = None, **filters: Any
    ) -> Iterator[Artifact]:
        """Artifacts, newest first; ``kind`` is base, adapter, merged, quantised ..."""
        for item in self._wire.pages("/api/models/", limit=limit, kind=kind, **filters):
            yield Artifact.of(item)

    def get(self, model: Artifact | int) -> Artifact:
        """One artifact."""
        return Artifact.of(self._wire.get(_path(model)))

    def lineage(self, model: Artifact | int, *, hops: int = 4) -> dict[str, Any]:
        """What it was made from and what was made from it: ``nodes``, and ``edges`` by key."""
        found: dict[str, Any] = self._wire.get(f"{_path(model)}/lineage", hops=hops)
        return found

    def files(self, model: Artifact | int) -> Sequence[File]:
        """The files it consists of."""
        return [File.of(one) for one in self._wire.pages(f"{_path(model)}/files")]

    def download(
        self,
        model: Artifact | int,
        path: str | Path,
        *,
        resume: bool = True,
        progress: Callable[[Progress], object] | None = None,
    ) -> Path:
        """Fetch all its files into the folder ``path`` and check them against its SHA-256.

        What lies there already from an attempt that broke off is not fetched again, unless
        ``resume`` is False. Raises DamagedError when the files are not what Kos keeps.
        """
        artifact = model if isinstance(model, Artifact) else self.get(model)
        folder = Path(path)
        listed = self.files(artifact)
        if not listed:
            raise KosError(410, "Gone", f"{artifact.name} is no longer on Kos's machine")
        total, done = sum(file.size_bytes for file in listed), 0
        for file in listed:
            target = folder / _inside(file.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            for size in self._fetch(artifact, file, target, resume=resume):
                done += size
                if progress is not None:
                    progress(Progress(file.name, done, total, "bytes"))
        self._check(artifact, folder, listed)
        return folder

    def _fetch(
        self, artifact: Artifact, file: File, target: Path, *, resume: bool
    ) -> Iterator[int]:
        """Yield how many bytes more are there, until the file is whole."""
        if resume and target.is_file() and target.stat().st_size == file.size_bytes:
            yield file.size_bytes
            return
        part = target.with_name(f"{target.name}.part")
        if not resume:
            part.unlink(missing_ok=True)
        have = part.stat().st_size if part.exists() else 0
        if have > file.size_bytes:
            part.unlink()
            have = 0
        yield have
        failed = 0
        while have < file.size_bytes or not part.exists():
            try:
                for size in self._read(artifact, file, part, have):
                    have, failed = have + size, 0
                    yield size
                if have < file.size_bytes:
                    raise httpx.ReadError("it ended too early")
            except httpx.TransportError as error:
                failed += 1
                if failed >= self._wire.tries:
                    raise self._wire.unreachable(error) from error
                self._wire.sleep(pause(failed))
            except KosError as error:
                failed += 1
                if error.status not in PASSING or failed >= self._wire.tries:
                    raise
                self._wire.sleep(pause(failed))
        part.replace(target)

    def _read(self, artifact: Artifact, file: File, part: Path, have: int) -> Iterator[int]:
        # As it is: ranges count the bytes of the file, not of its compressed form.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        path = f"{_path(artifact)}/files/{quote(file.name)}"
        with self._wire.open("GET", path, headers=headers) as answer:
            # A server that knows no ranges sends the whole file again: we skip what we have.
            skip = have if answer.status_code != 206 else 0
            with part.open("ab") as opened:
                # Pieces as they come: gathering them would lose what came before a break.
                for piece in answer.iter_bytes():
                    fresh = piece[skip:]
                    skip = max(0, skip - len(piece))
                    opened.write(fresh)
                    if fresh:
                        yield len(fresh)

    def _check(self, artifact: Artifact, folder: Path, listed: Sequence[File]) -> None:
        is_file = len(listed) == 1 and "/" not in listed[0].name
        candidates = [folder, *([folder / listed[0].name] if is_file else [])]
        if artifact.digest not in {digest_of(one).sha256 for one in candidates}:
            raise DamagedError(
                "Damaged download",
                f"the files in {folder} are not artifact {artifact.id} as Kos keeps it; empty "
                "the folder and download it again",
            )


def _inside(name: str) -> Path:
    """``name`` below a folder, and never outside of it."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute():
        raise DamagedError("Strange name", f"Kos named a file {name!r}, which is left alone")
    return Path(*parts)


def _path(model: Artifact | int) -> str:
    return f"/api/models/{model.id if isinstance(model, Artifact) else model}"
