"""Reading files that strangers made: lines and documents, plain or gzip, within bounds.

A bound is on what comes out, so that a small archive cannot fill the memory.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import yaml

from kos.errors import UserError

MAX_LINE_BYTES = 4_000_000
MAX_FILE_BYTES = 1_000_000_000
MAX_DOCUMENT_BYTES = 400_000_000
MAX_DEPTH = 64
GZIP_START = b"\x1f\x8b"
# What reading and checking a row may raise where a field is of another type than its format has.
ODD = (TypeError, AttributeError, ValueError, LookupError, OverflowError, RecursionError)


class Line(NamedTuple):
    """One line that is not blank; ``number`` counts from 1."""

    number: int
    text: bytes


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of ``path`` that are not blank; raises UserError beyond the bounds."""
    try:
        with _open(path) as file:
            yield from bounded(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path.name} cannot be read: {error}") from error


def bounded(lines: Iterable[bytes | str]) -> Iterator[Line]:
    """``lines`` as numbered bytes. A line that is too long is a UserError with its number."""
    read_bytes = 0
    for number, line in enumerate(lines, start=1):
        text = line.encode() if isinstance(line, str) else line
        read_bytes += len(text)
        if len(text) > MAX_LINE_BYTES:
            raise UserError(
                f"line {number} has more than {MAX_LINE_BYTES:,} bytes, which is the most; a "
                "file of JSON lines has one object a line"
            )
        if read_bytes > MAX_FILE_BYTES:
            raise UserError(f"the file is larger than {MAX_FILE_BYTES // 10**6} MB unpacked")
        if text.strip():
            yield Line(number, text)


def read_document(path: Path, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
    """The whole of ``path``, unpacked; raises UserError beyond ``max_bytes``."""
    try:
        with _open(path) as file:
            content = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path.name} cannot be read: {error}") from error
    if len(content) > max_bytes:
        raise UserError(f"{path.name} is larger than {max_bytes // 10**6} MB unpacked")
    return content


def parse(text: bytes | str) -> Any:
    """The JSON value in ``text``; raises UserError. NaN and infinities are no JSON."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {error}") from error


def parse_object(text: bytes | str) -> dict[str, Any]:
    """The JSON object in ``text``; raises UserError when it is something else."""
    row = parse(text)
    if not isinstance(row, dict):
        raise UserError("each line must be a JSON object")
    return row


def parse_yaml(text: bytes | str) -> Any:
    """The value that a YAML document is, with JSON's types alone; raises UserError.

    Tags that PyYAML knows raise whatever their text makes them raise: a month of 99 a ValueError.
    """
    try:
        value = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader, and stricter
    except (yaml.YAMLError, *ODD) as error:
        raise UserError(
            f"not YAML that Kos reads: {' '.join(str(error).split())[:300]}"
        ) from error
    refuse_unkept(value)
    return value


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, a few lines of which can stand for gigabytes, and without dates."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in known if not tag.endswith(":timestamp")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read; write the text out")
        return super().compose_node(parent, index)


def refuse_unkept(value: Any) -> None:
    """Raise UserError for what no database or JSON file can hold, somewhere in ``value``.

    That is a NUL, half of a character, a number that is not finite, a type that JSON has not,
    and values nested too deep.
    """
    layer = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for one in layer:
            match one:
                case dict():
                    inner += [*one, *one.values()]
                case list():
                    inner += one
                case _:
                    _refuse_scalar(one)
        if not inner:
            return
        layer = inner
    raise UserError(f"its values are nested more than {MAX_DEPTH} deep")


def _refuse_scalar(value: Any) -> None:
    match value:
        case str():
            if "\0" in value:
                raise UserError("a text holds the character NUL (\\u0000): remove it")
            if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
                raise UserError("a text holds half of a character (\\ud800 to \\udfff): remove it")
        case float():
            if not math.isfinite(value):
                raise UserError("a number is infinite or none at all")
        case None | bool() | int():
            pass
        case _:
            kind = type(value).__name__
            raise UserError(f"a value is a {kind}, which JSON has not: put it in quotes")


def _open(path: Path) -> BinaryIO:
    # By its first bytes: an upload may be named anything.
    with path.open("rb") as file:
        is_packed = file.read(2) == GZIP_START
    return cast("BinaryIO", gzip.open(path, "rb")) if is_packed else path.open("rb")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
