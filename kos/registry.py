"""Named choices: the losses, graders, benchmarks and export formats of Kos.

A choice is a pydantic class with a literal ``kind``. Its fields are the form the console
shows, the JSON the API takes and what the run keeps; its one public method is the work.
Registering the class is all it takes to offer it everywhere.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Choice(BaseModel):
    """Base of everything a user can pick by name. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str

    @classmethod
    def label(cls) -> str:
        """First line of the docstring, as the console's menu shows it."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0].rstrip(".")


C = TypeVar("C", bound=Choice)


class Registry(Generic[C]):
    """All choices of one sort, by ``kind``, in the order they were registered.

    As a pydantic annotation it stands for "any one of these": with ``LOSSES`` a registry,
    ``loss: Annotated[Loss, LOSSES]`` accepts ``{"kind": "cispo", "clip_high": 5}``.
    """

    def __init__(self, sort: str) -> None:
        self.sort = sort
        self._classes: dict[str, type[C]] = {}

    def register(self, cls: type[C]) -> type[C]:
        """Offer ``cls`` under its ``kind``; raises ValueError when the name is taken."""
        kind = cls.model_fields["kind"].default
        if kind in self._classes:
            raise ValueError(f"two {self.sort} choices are called {kind!r}")
        self._classes[kind] = cls
        return cls

    def register_folder(self, package: str) -> None:
        """Import every module of ``package``: a file dropped there registers itself."""
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if module.name != "__main__":
                importlib.import_module(f"{package}.{module.name}")

    def __iter__(self) -> Iterator[type[C]]:
        return iter(self._classes.values())

    def __getitem__(self, kind: str) -> type[C]:
        return self._classes[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._classes

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices = {kind: handler.generate_schema(cls) for kind, cls in self._classes.items()}
        return core_schema.tagged_union_schema(choices, discriminator="kind")
