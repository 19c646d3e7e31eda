"""Bodies stop at their caps, however small they come in."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kos.tools.net.bodies import MB, Caps, read_body, unpack_body
from kos.tools.net.failures import UnavailableError
from tests.kos.tools.web import Stream

CAPS = Caps(raw_bytes=1 * MB, decoded_bytes=2 * MB)


def answer(data: bytes, encoding: str = "gzip", piece: int = 7000) -> httpx.Response:
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    return httpx.Response(200, stream=Stream(pieces), headers={"content-encoding": encoding})


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"gout " * 999), zlib.compress(b"gout " * 999), raw_deflate(b"gout " * 999)],
    ids=["gzip", "zlib", "raw deflate"],
)
async def test_a_packed_body_is_unpacked(data):
    assert await read_body(answer(data, "deflate"), CAPS) == b"gout " * 999


async def test_a_plain_body_is_read_as_it_is():
    assert await read_body(answer(b"\x1f\x8bplain", "identity"), CAPS) == b"\x1f\x8bplain"


async def test_a_body_of_several_members_is_read_to_its_end():
    data = gzip.compress(b"one ") + gzip.compress(b"two ") + gzip.compress(b"three")
    assert await read_body(answer(data, piece=5), CAPS) == b"one two three"


@pytest.mark.parametrize(
    "pack", [gzip.compress, zlib.compress, raw_deflate], ids=["gzip", "zlib", "raw deflate"]
)
async def test_a_bomb_stops_at_the_cap_without_filling_the_memory(pack):
    bomb = pack(bytes(200 * MB))
    assert len(bomb) < MB
    tracemalloc.start()
    with pytest.raises(UnavailableError, match="bigger than 2 MB"):
        await read_body(answer(bomb, piece=len(bomb)), CAPS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MB


async def test_a_body_that_names_its_size_is_refused_before_it_is_read():
    headers = {"content-length": str(50 * MB)}
    response = httpx.Response(200, stream=Stream([b"x"]), headers=headers)
    with pytest.raises(UnavailableError, match="bigger than 1 MB"):
        await read_body(response, CAPS)


async def test_raw_bytes_have_a_cap_of_their_own():
    with pytest.raises(UnavailableError, match="bigger than 1 MB"):
        await read_body(answer(bytes(2 * MB), "identity"), CAPS)


async def test_other_packings_are_not_read():
    with pytest.raises(UnavailableError, match="'br'"):
        await read_body(answer(b"...", "br"), CAPS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"this is not gzip", "broken"),
        (gzip.compress(bytes(9999))[:-9], "breaks off"),
        (gzip.compress(b"gout " * 99)[:20] + b"\xff" * 50, "broken|breaks off"),
    ],
    ids=["plain", "cut", "spoiled"],
)
async def test_a_broken_body_is_said_to_be_broken(data, words):
    with pytest.raises(UnavailableError, match=words):
        await read_body(answer(data), CAPS)


@given(st.binary(max_size=300))
def test_the_unpacker_survives_any_bytes(data):
    with contextlib.suppress(UnavailableError):
        assert len(unpack_body(data, CAPS)) <= CAPS.decoded_bytes


@given(st.binary(max_size=2000), st.integers(1, 50), st.sampled_from(["gzip", "deflate"]))
def test_a_body_is_the_same_however_it_is_cut(data, piece, encoding):
    packed = (gzip.compress if encoding == "gzip" else zlib.compress)(data)
    assert asyncio.run(read_body(answer(packed, encoding, piece), CAPS)) == data
