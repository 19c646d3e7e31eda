from __future__ import annotations

from apps.accounts.streaming import PARTS, Streamed


async def test_rows_are_made_as_they_are_sent():
    made = []
    rows = (made.append(number) or f"{number}\n" for number in range(PARTS * 3))
    pieces = aiter(Streamed(rows))
    first = await anext(pieces)
    assert first.count(b"\n") == len(made) == PARTS
    rest = [piece async for piece in pieces]
    assert (first + b"".join(rest)).split() == [str(n).encode() for n in range(PARTS * 3)]


def test_a_test_client_and_wsgi_read_it_as_ever():
    assert b"".join(Streamed(iter(["a", "b"]))) == b"ab"
