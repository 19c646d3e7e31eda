"""Inputs made of others by chance that can be told again: the same seed, the same bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

# What readers stumble over: ends of numbers, of characters, of nesting.
PIECES = (
    *(
        b"\x00",
        b"\xff",
        b"\x80",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\r\n",
        b"\\u0000",
    ),
    *(
        b"\\ud800",
        b"[",
        b"]",
        b"{",
        b"}",
        b'"',
        b":",
        b",",
        b"-",
        b"null",
        b"true",
        b"1e999",
        b"NaN",
    ),
    *(
        b"\xff" * 8,
        b"\x00" * 8,
        b"\xff\xff\xff\x7f",
        b"9" * 40,
        b"[" * 200,
        b"{}",
        b"[]",
        b'""',
        b"-1",
    ),
    *(b"<think>", b"</think>", b"<|im_end|>", b"<tool_call>", b"data:", b"../", b"%s"),
)


def mutations(seeds: Sequence[bytes], *, count: int, seed: int) -> Iterator[bytes]:
    """``count`` inputs, each some seed with one to six changes."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            _change(data, chance, seeds)
        yield bytes(data)


def _change(data: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    place = chance.randint(0, len(data))
    match chance.randint(0, 6):
        case 0:
            data[place : place + 1] = bytes([chance.randint(0, 255)])
        case 1:
            data[place : place + chance.randint(1, 8)] = b""
        case 2:
            data[place:place] = chance.choice(PIECES)
        case 3:
            data[place : place + chance.randint(1, 8)] = chance.choice(PIECES)
        case 4:
            other = chance.choice(seeds)
            begin = chance.randint(0, len(other))
            data[place:place] = other[begin : begin + chance.randint(1, 64)]
        case 5:
            data[place:place] = data[place : place + chance.randint(1, 64)]
        case 6 if place > len(data) // 2:
            del data[place:]
