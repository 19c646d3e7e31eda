"""Sections of a model's page that rooms beside this one fill: deployments, evaluations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from apps.runs.models import Artifact


class Panel(NamedTuple):
    """A section: its heading, and the template that draws ``context``."""

    title: str
    template: str
    context: Mapping[str, Any]


_FILLERS: dict[str, Callable[[Artifact], Panel | None]] = {}


def add(name: str, filler: Callable[[Artifact], Panel | None]) -> None:
    """Let ``filler`` add a section to the page of every artifact it has something to say of."""
    _FILLERS[name] = filler


def of(artifact: Artifact) -> list[Panel]:
    """The sections of one artifact, in the order of the rooms."""
    filled = [filler(artifact) for filler in _FILLERS.values()]
    return [panel for panel in filled if panel is not None]
