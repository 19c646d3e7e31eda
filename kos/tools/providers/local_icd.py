"""The classification on this machine: ICD-10-CM, and ICD-11 where it was imported."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from kos.tools.base import Record
from kos.tools.corpus.index import Corpus
from kos.tools.desk import READY, Desk, Readiness
from kos.tools.registry import provide

MAX_RECORDS = 8
KINDS = {"icd11": "icd11", "icd10": "icd10cm"}


@provide
class LocalIcd:
    """The classification on this machine."""

    tool = "search_icd"
    name = "embedded"
    title = "classification"
    mode: Literal["live", "embedded"] = "embedded"
    version = "1"
    is_private = False

    def ready(self, desk: Desk) -> Readiness:
        """Whether there is a corpus."""
        return READY if isinstance(desk.corpus, Corpus) else Readiness(False, "no corpus")

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """Codes in the query first, with those below them; else the best names."""
        assert isinstance(desk.corpus, Corpus)
        asked = KINDS[arguments.get("version", "icd11")]
        return await asyncio.to_thread(_look_up, desk.corpus, asked, str(arguments["query"]))


def _look_up(corpus: Corpus, kind: str, query: str) -> tuple[Record, ...]:
    """In the revision asked for; in ICD-10-CM where ICD-11 is not here or has no such code."""
    kinds = [one for one in dict.fromkeys((kind, "icd10cm")) if corpus.kinds().get(one)]
    for one in kinds:
        if found := corpus.code(one, query):
            return tuple(map(_versioned, found[:MAX_RECORDS]))
    for one in kinds:
        if found := corpus.search(one, query, MAX_RECORDS):
            return tuple(map(_versioned, found))
    return ()


def _versioned(record: Record) -> Record:
    """The record with its classification named in the version, as the notice shows it."""
    was = record.provenance
    version = was.data_version
    if not version.startswith(was.provider):
        version = f"{was.provider} {version}"
    return replace(record, provenance=replace(was, data_version=version))
