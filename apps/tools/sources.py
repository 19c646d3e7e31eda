"""The tools and their sources as the pages and the API show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from kos.errors import UserError
from kos.tools.base import Tool
from kos.tools.corpus import Corpus
from kos.tools.corpus.store import Collection
from kos.tools.desk import Desk, Provider
from kos.tools.registry import all_providers, all_tools

State = Literal["ready", "not ready", "paused", "off line", "not asked"]


class SourceView(NamedTuple):
    """One source of a tool. ``place`` is its turn in the chain, from 1; 0: it is not asked."""

    name: str
    title: str
    mode: str
    place: int
    state: State
    reason: str


class ToolView(NamedTuple):
    """A tool with its sources, those asked first before the others."""

    name: str
    description: str
    declaration: Mapping[str, Any]
    sources: list[SourceView]

    @property
    def first_ready(self) -> SourceView | None:
        """The source that a call would reach now."""
        return next((source for source in self.sources if source.state == "ready"), None)


def tools_on(desk: Desk) -> list[ToolView]:
    """Every tool as it stands on this desk."""
    return [view_of(tool, desk) for tool in all_tools()]


def view_of(tool: Tool, desk: Desk) -> ToolView:
    """One tool as it stands on this desk."""
    declaration = tool.declare()
    sources = [_source(one, desk) for one in all_providers() if one.tool == tool.name]
    return ToolView(
        name=tool.name,
        description=str(declaration["function"]["description"]),
        declaration=declaration,
        sources=sorted(sources, key=lambda source: (source.place == 0, source.place)),
    )


def find(name: str, desk: Desk) -> ToolView | None:
    """The tool ``name``; None when there is none."""
    return next((view for view in tools_on(desk) if view.name == name), None)


class CollectionView(NamedTuple):
    """One collection of the corpus and how many records of each kind it brought."""

    collection: Collection
    kinds: list[tuple[str, int]]


def collections_of(corpus: Corpus) -> list[CollectionView]:
    """Everything on this machine, what was imported first."""
    found: dict[str, CollectionView] = {}
    for holding in corpus.holdings():
        place = f"{holding.collection.mode} {holding.collection.name}"
        view = found.setdefault(place, CollectionView(holding.collection, []))
        if holding.kind:
            view.kinds.append((holding.kind, holding.num_docs))
    return [*found.values()]


def _source(provider: Provider, desk: Desk) -> SourceView:
    chain = desk.chains.get(provider.tool, ())
    place = chain.index(provider.name) + 1 if provider.name in chain else 0
    state, reason = _state(provider, desk, is_asked=place > 0)
    return SourceView(provider.name, provider.title, provider.mode, place, state, reason)


def _state(provider: Provider, desk: Desk, *, is_asked: bool) -> tuple[State, str]:
    if not is_asked:
        return "not asked", "not in the chain of this installation"
    if desk.is_offline and provider.mode == "live":
        return "off line", "KOS_OFFLINE is set"
    try:
        readiness = provider.ready(desk)
    except UserError as error:
        return "not ready", str(error)
    if not readiness.is_ready:
        return "not ready", readiness.reason
    breaker = f"{provider.name}:{desk.owner}" if provider.is_private else provider.name
    if desk.wire.breakers.is_open(breaker):
        return "paused", "after failures; it is tried again soon"
    return "ready", ""
