"""Sets of prompts with rubrics, in versions that never change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from kos.client.rows import DatasetVersion
from kos.client.wire import Wire, new_key, read

KINDS = ("added", "removed", "changed")


class Imported(NamedTuple):
    """A version that was imported, the lines left out of it, and those kept though odd."""

    version: DatasetVersion
    problems: list[dict[str, Any]]
    notices: list[dict[str, Any]]


class Datasets:
    """``kos.datasets``. A version is named by its number in the whole console, ``version.id``."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[DatasetVersion]:
        """Versions, newest first."""
        for item in self._wire.pages("/api/datasets/", limit=limit, **filters):
            yield DatasetVersion.of(item)

    def get(self, version: DatasetVersion | int) -> DatasetVersion:
        """One version."""
        return DatasetVersion.of(self._wire.get(_path(version)))

    def import_file(self, path: str | Path, name: str = "", *, description: str = "") -> Imported:
        """Import a file of any format that Kos knows as a version of the dataset ``name``."""
        file = Path(path)
        answer = read(
            self._wire.send(
                "POST",
                "/api/datasets/",
                form={"name": name or file.stem, "description": description},
                files={"file": file},
                key=new_key(),
            )
        )
        version = DatasetVersion.of(answer["version"])
        return Imported(version, answer.get("problems", []), answer.get("notices", []))

    def export(
        self, version: DatasetVersion | int, path: str | Path, *, format: str = "kos"
    ) -> Path:
        """Write a version as JSON lines (kos, healthbench, verifiers); restricted rows stay."""
        target = Path(path)
        part = target.with_name(f"{target.name}.part")
        try:
            with (
                self._wire.open(
                    "GET", f"{_path(version)}/export", params={"format": format}
                ) as answer,
                part.open("wb") as file,
            ):
                for piece in answer.iter_bytes():
                    file.write(piece)
        except httpx.TransportError as error:
            raise self._wire.unreachable(error) from error
        return part.replace(target)

    def diff(self, old: DatasetVersion | int, new: DatasetVersion | int) -> dict[str, Any]:
        """What changed: how many prompts were ``added``, ``removed`` and ``changed``, the
        ``numbers`` before and after, and every such prompt in ``items``.
        """
        path = f"{_path(new)}/diff"
        found = self._wire.get(path, base=_id(old), limit=1)
        items = [
            item
            for kind in KINDS
            if found[kind]
            for item in self._wire.pages(path, base=_id(old), kind=kind)
        ]
        return {**{name: found[name] for name in (*KINDS, "numbers")}, "items": items}


def _id(version: DatasetVersion | int) -> int:
    return version.id if isinstance(version, DatasetVersion) else version


def _path(version: DatasetVersion | int) -> str:
    return f"/api/datasets/{_id(version)}"
