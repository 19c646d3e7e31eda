"""All tools and all their sources, found by looking into the folders."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TypeVar

from kos.errors import UserError
from kos.registry import Registry
from kos.tools.base import TOOLS, Tool
from kos.tools.desk import Desk, Provider

P = TypeVar("P", bound=Provider)
_providers: dict[tuple[str, str], Provider] = {}


def provide(cls: type[P]) -> type[P]:
    """Offer an instance of ``cls`` as a source of its tool, under its name."""
    provider = cls()
    place = (provider.tool, provider.name)
    if place in _providers:
        raise ValueError(f"two sources of {provider.tool} are called {provider.name!r}")
    _providers[place] = provider
    return cls


def all_tools() -> tuple[Tool, ...]:
    """One of each tool, in the order of their names."""
    _load()
    tools = (cls(kind=cls.model_fields["kind"].default) for cls in TOOLS)
    return tuple(sorted(tools, key=lambda tool: tool.name))


def pick_tools(names: tuple[str, ...]) -> tuple[Tool, ...]:
    """The tools of these names, in this order; UserError names the ones there are."""
    tools = {tool.name: tool for tool in all_tools()}
    for name in names:
        if name not in tools:
            raise UserError(f"There is no tool {name!r}. There are: {', '.join(tools)}.")
    return tuple(tools[name] for name in names)


def all_providers() -> tuple[Provider, ...]:
    """Every source of every tool."""
    _load()
    return tuple(_providers.values())


def chain_of(tool: str, desk: Desk) -> Iterator[Provider]:
    """The sources that ``desk`` would ask for ``tool``, in turn; off line, none that is live."""
    _load()
    for name in desk.chains.get(tool, ()):
        if (tool, name) not in _providers:
            names = ", ".join(known for of, known in _providers if of == tool)
            raise UserError(f"{tool} has no source {name!r}. There are: {names}.")
        provider = _providers[tool, name]
        if not (desk.is_offline and provider.mode == "live"):
            yield provider


@cache
def _load() -> None:
    folders: Registry[Tool] = TOOLS
    folders.register_folder("kos.tools")
    folders.register_folder("kos.tools.providers")
