"""Saved weights on disk, by their ``tinker://`` paths.

tinker://<model>/weights/<name>           adapter and optimiser: training goes on from it
tinker://<model>/sampler_weights/<name>   a peft folder to sample from
tinker://<model>/external_weights/<name>  a peft folder to download
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from kos.errors import UserError

KINDS = {"weights": "training", "sampler_weights": "sampler", "external_weights": "external"}
CARD = "model.json"
_PATH = re.compile(
    r"tinker://([A-Za-z0-9_\-]{1,80}:train:[0-9]{1,9})"
    r"/(weights|sampler_weights|external_weights)/([A-Za-z0-9][A-Za-z0-9_.\-]{0,127})"
)


@dataclass(frozen=True)
class Card:
    """What an adapter is: kept beside every saved one."""

    base_model: str
    rank: int
    alpha: float
    train_mlp: bool = True
    train_attn: bool = True
    train_unembed: bool = True


class Place(NamedTuple):
    """A ``tinker://`` path taken apart."""

    model_id: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"tinker://{self.model_id}/{self.kind}/{self.name}"


def parse(path: str) -> Place:
    """Take a path apart; UserError for anything else."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise UserError(f"{path!r} is no path of saved weights (tinker://MODEL/weights/NAME)")
    return Place(*found.groups())


class Store:
    """The folder ``root`` and all that is saved in it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def write(self, place: Place, card: Card, *, overwrite: bool = False) -> Iterator[Path]:
        """A folder to fill, which stands at ``place`` once the block ends without error."""
        folder = self._folder(place)
        if folder.exists() and not overwrite:
            raise UserError(f"there is {place} already; choose another name, or overwrite it")
        partial = folder.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}")
        partial.mkdir(parents=True)
        try:
            yield partial
            (partial / CARD).write_text(json.dumps(asdict(card)))
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def read(self, place: Place) -> tuple[Path, Card]:
        """Where it lies and what it is; UserError when there is nothing."""
        folder = self._folder(place)
        if not (folder / CARD).exists():
            raise UserError(f"there is nothing saved at {place}")
        return folder, Card(**json.loads((folder / CARD).read_text()))

    def saved(self, model_id: str, *, own: bool = False) -> list[tuple[Place, Path]]:
        """What a client saved of a model, the oldest first; or the server's ``own`` keeping."""
        names = "_*" if own else "[!._]*"
        folder = self._root / _folder_name(model_id)
        cards = sorted(folder.glob(f"*/{names}/{CARD}"), key=lambda card: card.stat().st_mtime)
        return [
            (Place(model_id, card.parent.parent.name, card.parent.name), card.parent)
            for card in cards
        ]

    def models(self) -> list[str]:
        """Ids of all models something is saved of."""
        return sorted(folder.name.replace("+", ":") for folder in self._root.glob("*+train+*"))

    def delete(self, place: Place) -> None:
        """Delete what lies there; UserError when there is nothing."""
        folder, _ = self.read(place)
        shutil.rmtree(folder)

    def _folder(self, place: Place) -> Path:
        return self._root / _folder_name(place.model_id) / place.kind / place.name


def _folder_name(model_id: str) -> str:
    return model_id.replace(":", "+")
