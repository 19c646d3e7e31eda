"""Which shards of a long job are done: a file beside them, so that a stopped job goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kos.weights import shards
from kos.weights.lora import Update
from kos.weights.tally import Tally, total
from kos.weights.text import Checkpoint


def identity(model: Checkpoint, updates: Iterable[Update]) -> list[Any]:
    """What a merge or an export reads, as JSON for a journal's key.

    The model by its files' names and sizes, the adapter by its bytes, each file read once.
    """
    updates = list(updates)
    files = {file for update in updates for file in update.files}
    return [
        [(file.name, file.stat().st_size) for file in model.index.files],
        [(update.name, update.sources, update.scale) for update in updates],
        sorted(map(shards.sha256, files)),
    ]


@dataclass
class Journal:
    """Finished shards with their SHA-256, size and tallies.

    ``key`` stands for all that decides the result: a journal of other work is begun anew.
    """

    path: Path
    key: str
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, key: str) -> Journal:
        """Read ``path``, or begin an empty journal when it is missing or of other work."""
        found = shards.read_json(path) if path.exists() else {}
        return cls(path, key, found["done"] if found.get("key") == key else {})

    def has(self, file: Path) -> bool:
        """Whether ``file`` is done and stands there whole."""
        said = self.done.get(file.name)
        return said is not None and file.exists() and file.stat().st_size == said["size_bytes"]

    def note(self, file: Path, digest: str, tallies: dict[str, Tally]) -> None:
        """Add a finished shard, on disk before this returns."""
        said = {kind: asdict(tally) for kind, tally in tallies.items()}
        size = file.stat().st_size
        self.done[file.name] = {"sha256": digest, "size_bytes": size, "tallies": said}
        shards.write_json(self.path, {"key": self.key, "done": self.done})

    def tallies(self) -> dict[str, Tally]:
        """What changed over all shards, by kind of weight."""
        sums: dict[str, Tally] = {}
        for shard in self.done.values():
            for kind, said in shard["tallies"].items():
                sums[kind] = total([sums.get(kind, Tally()), Tally(**said)])
        return dict(sorted(sums.items()))
