"""The objects of a long JSON array, one at a time, without holding the array."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from kos.errors import UserError

CHUNK_BYTES = 1 << 20
MAX_ITEM_CHARS = 64_000_000
# How much may stand before the array: metadata.
MAX_HEAD_CHARS = 1_000_000
_BLANK = re.compile(r"[\s,]*")


def read_items(file: IO[bytes], name: str, *, key: str = "") -> Iterator[Any]:
    """The items of the array below ``key`` of an object, or of an array that is the whole file.

    ``name`` is the entry's, for the sentence of the UserError when it is no such JSON.
    """
    text = _Text(file, name)
    text.begin(key)
    while (item := text.next_item()) is not _END:
        yield item


_END = object()


class _Text:
    """A growing window on the text, from which whole items are taken at the left."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        self._decoder = json.JSONDecoder()
        self._window = ""
        self._is_over = False
        self._num_items = 0

    def begin(self, key: str) -> None:
        """Go to behind the array's bracket."""
        opening = re.compile(rf'"{re.escape(key)}"\s*:\s*\[') if key else None
        while True:
            stripped = self._window.lstrip()
            if stripped.startswith("["):
                self._window = stripped[1:]
                return
            found = opening.search(self._window) if opening else None
            if found:
                self._window = self._window[found.end() :]
                return
            if len(self._window) > MAX_HEAD_CHARS or not self._grow():
                wanted = f'an array "{key}"' if key else "an array"
                raise UserError(f"{self._name} is no such JSON file: it has not {wanted}.")

    def next_item(self) -> Any:
        """The next item, or ``_END`` at the array's closing bracket."""
        while True:
            start = _BLANK.match(self._window)
            at = start.end() if start else 0
            if self._window[at : at + 1] == "]":
                return _END
            item, end = self._try(at)
            if end:
                self._window = self._window[end:]
                self._num_items += 1
                return item
            if len(self._window) > MAX_ITEM_CHARS or not self._grow():
                raise UserError(
                    f"{self._name} breaks off or is no JSON at item {self._num_items + 1}."
                )

    def _try(self, at: int) -> tuple[Any, int]:
        """The item at ``at`` and where it ends; 0 when it is not whole yet."""
        try:
            item, end = self._decoder.raw_decode(self._window, at)
        except (json.JSONDecodeError, RecursionError):
            return None, 0
        # A number at the window's edge may go on.
        is_whole = end < len(self._window) or self._is_over
        return (item, end) if is_whole else (None, 0)

    def _grow(self) -> bool:
        """Twice as much at a time, so that a long item is not tried over and over."""
        if self._is_over:
            return False
        data = self._file.read(max(CHUNK_BYTES, len(self._window)))
        self._is_over = not data
        self._window += self._decode(data, final=self._is_over)
        return not self._is_over or bool(self._window)
