"""Guidance on this machine: red-flag cards, symptom differentials, topics, guideline digests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from kos.tools.base import Record
from kos.tools.corpus.index import Corpus
from kos.tools.desk import READY, Desk, Readiness
from kos.tools.registry import provide


class Share(NamedTuple):
    """How many records of a kind are given at most."""

    kind: str
    most: int


# What must not be missed first. All must be about the query: a guideline on burns that mentions
# the back says nothing on back pain.
SHARES = (
    Share("redflag", 1),
    Share("differential", 1),
    Share("topic", 2),
    Share("guideline", 3),
)
WIDER = ("topic", "guideline", "differential", "redflag")
MAX_RECORDS = 6


@provide
class LocalTriage:
    """Guidance on this machine."""

    tool = "search_triage_guideline"
    name = "embedded"
    title = "guidelines and red-flag cards"
    mode: Literal["live", "embedded"] = "embedded"
    version = "1"
    is_private = False

    def ready(self, desk: Desk) -> Readiness:
        """Whether there is a corpus."""
        return READY if isinstance(desk.corpus, Corpus) else Readiness(False, "no corpus")

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """Red flags first, then what explains and guides."""
        assert isinstance(desk.corpus, Corpus)
        return await asyncio.to_thread(_look_up, desk.corpus, str(arguments["query"]))


def _look_up(corpus: Corpus, query: str) -> tuple[Record, ...]:
    found = [
        record
        for share in SHARES
        for record in corpus.search(share.kind, query, share.most, strictness="names")
    ]
    return tuple(found[:MAX_RECORDS]) or tuple(corpus.search(WIDER, query, MAX_RECORDS))
