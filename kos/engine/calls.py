"""What the torchrun engine's parent and its processes say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kos.config.base import Lora
from kos.engine.machine import Machine

# The environment's name for what signs their words.
KEY = "KOS_ENGINE_KEY"


@dataclass(frozen=True)
class Setup:
    """The parent's first word: what to open."""

    base: Path
    machine: Machine
    lora: Lora
    seed: int
    adapter: Path | None


@dataclass(frozen=True)
class Call:
    """A method of the engine and its arguments; ``tells`` asks for its progress."""

    method: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    tells: bool = False


@dataclass(frozen=True)
class Told:
    """How far a call is."""

    done: int
    total: int


@dataclass(frozen=True)
class Done:
    """What a call returned, and the policy's version after it."""

    result: Any
    version: int


@dataclass(frozen=True)
class Broken:
    """Why a call ended in an error: the process is of no use any more."""

    error: str
    is_user_error: bool
