"""What a backup holds, file by file. It is written last and read first."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from kos.errors import UserError
from kos.files import replace_when_whole

FORMAT = 1
MANIFEST, DATABASE, KEYS, ARTIFACTS = "manifest.json", "database.dump", "keys.json", "artifacts"


def _inside(path: str) -> str:
    """A path that cannot lead out of the folder it is put in."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ValueError("it leads out of the backup")
    return path


Inside = Annotated[str, AfterValidator(_inside)]


class StoredFile(BaseModel):
    """A file of the backup, by its path in there."""

    model_config = ConfigDict(frozen=True)

    path: Inside
    sha256: str
    size_bytes: int


class StoredArtifact(BaseModel):
    """An artifact of the database whose files are in the backup; ``path`` is below ARTIFACTS."""

    model_config = ConfigDict(frozen=True)

    pk: int
    name: str
    path: Inside
    digest: str


class Manifest(BaseModel):
    """The whole backup."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    made: datetime
    revision: str
    migrations: list[str]  # "app.name", as the database had them
    files: list[StoredFile]
    artifacts: list[StoredArtifact]
    left_out: list[str]  # artifacts whose files were not whole, in sentences
    has_models: bool
    has_keys: bool

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def write(folder: Path, manifest: Manifest) -> None:
    with replace_when_whole(folder / MANIFEST) as file:
        file.write(manifest.model_dump_json(indent=1).encode())


def read(folder: Path) -> Manifest:
    """The manifest of the backup in ``folder``; UserError where it is none."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name the one that manage.py backup made")
    path = folder / MANIFEST
    if not path.exists():
        raise UserError(
            f"{folder} has no {MANIFEST}: it is no backup, or one that was broken off before it"
            " was whole; take another"
        )
    try:
        found = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(
            f"{path} is damaged ({error.error_count()} faults); take another"
        ) from error
    if found.format != FORMAT:
        raise UserError(
            f"{folder} is a backup of format {found.format}, this Kos reads {FORMAT}; restore it"
            f" with revision {found.revision} or a newer one"
        )
    return found
