"""Knobs as people write them on a command line: ``rewards.0.weight=0.5``, or a YAML file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml

# What a file says that is a whole start, as the form's download writes it.
SAYS = {
    "kind",
    "preset",
    "config",
    "name",
    "seed",
    "inputs",
    "dataset",
    "benchmark",
    "labels",
}


class Start(NamedTuple):
    """A file's knobs, and what else it says of the run: nothing, where it has knobs alone."""

    config: dict[str, Any]
    about: dict[str, Any]


def read_start(path: Path) -> Start:
    """The knobs in a YAML or JSON file, or a whole start: its kind, its inputs and its knobs."""
    found = _read(path)
    if not ({"kind", "preset"} & found.keys() and isinstance(found.get("config"), dict)):
        return Start(found, {})
    if unknown := sorted(str(name) for name in found.keys() - SAYS):
        raise click.UsageError(
            f"{path} has {', '.join(unknown)} beside its config; known are "
            f"{', '.join(sorted(SAYS))}"
        )
    return Start(found.pop("config"), found)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise click.UsageError(f"{path} is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"{path} should hold knobs as `name: value`")
    return found


def split_pairs(given: Iterable[str], option: str) -> Iterator[tuple[str, Any]]:
    """``name=value`` each; a value is read as YAML, so 3 is a number and [1, 2] a list."""
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{option} {one!r}: write it as name=value")
        try:
            yield name, yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise click.UsageError(f"{option} {one!r}: the value is no YAML") from error


def assign(config: dict[str, Any], knob: str, value: Any) -> None:
    """Set a nested knob: ``loss.clip_high``; a number picks of a list."""
    *path, last = knob.split(".")
    here: Any = config
    for part in path:
        here = here[_place(here, part, knob)] if isinstance(here, list) else _below(here, part)
        if not isinstance(here, dict | list):
            raise click.UsageError(f"{knob}: {part} has no knobs of its own")
    here[_place(here, last, knob) if isinstance(here, list) else last] = value


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every knob by its dotted name."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        match value:
            case dict():
                flat |= flatten(value, f"{prefix}{name}.")
            case list():
                flat |= flatten({str(at): one for at, one in enumerate(value)}, f"{prefix}{name}.")
            case _:
                flat[f"{prefix}{name}"] = value
    return flat


def _below(here: dict[str, Any], part: str) -> Any:
    if here.get(part) is None:
        here[part] = {}
    return here[part]


def _place(here: list[Any], part: str, knob: str) -> int:
    if not part.isdecimal() or int(part) >= len(here):
        raise click.UsageError(f"{knob}: there are {len(here)} of these, counted from 0")
    return int(part)
