"""What live sources have in common, and the source on this machine."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from kos.errors import UserError
from kos.tools.base import Provenance, Record
from kos.tools.desk import READY, Desk, Readiness

NLM_ATTRIBUTION = (
    "This product uses publicly available data courtesy of the U.S. National Library of Medicine "
    "(NLM), National Institutes of Health, Department of Health and Human Services; NLM is not "
    "responsible for the product and does not endorse or recommend this or any other product."
)
# "dose < 5 mg and > 1 mg" has no tag in it.
_TAG = re.compile(r"</?[a-z][^<>]{0,2000}>|<!--[^<>]{0,2000}>", re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+", re.IGNORECASE)


def now() -> str:
    """The time, UTC, in ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def plain(text: str | None) -> str:
    """HTML as text: no tags, no entities, single blanks."""
    return " ".join(html.unescape(_TAG.sub("", text or "")).split())


def domain_of(site: str) -> str:
    """The domain that ``site`` names; UserError when it is none."""
    name = site.strip().lower().removeprefix("https://").removeprefix("http://").rstrip("/")
    if not _DOMAIN.fullmatch(name):
        raise UserError(f"$.site is {site[:80]!r}. It must be one domain, for example who.int.")
    return name


class LiveSource:
    """A source out in the internet. ``key`` names the key it cannot do without, if any."""

    tool: str
    name: str
    title: str
    version: str
    mode: Literal["live", "embedded"] = "live"
    is_private: bool = False
    key: str = ""
    licence: str = ""
    attribution: str = ""

    def ready(self, desk: Desk) -> Readiness:
        """Whether its key is there."""
        return READY if not self.key or desk.keys.get(self.key) else Readiness(False, "no key")

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """Ask it."""
        raise NotImplementedError

    def provenance(self, source_url: str, *, data_version: str = "") -> Provenance:
        """Where a record that was just fetched comes from."""
        return Provenance(
            provider=self.name,
            mode="live",
            source_url=source_url,
            retrieved_at=now(),
            data_version=data_version,
            licence=self.licence,
            attribution=self.attribution,
        )


class CorpusSource:
    """The records of one kind on this machine ("" for all kinds)."""

    tool: str
    title: str
    corpus_kind: str
    query_names: tuple[str, ...] = ("query",)
    reason: str = "nothing imported"
    name: str = "embedded"
    version: str = "1"
    mode: Literal["live", "embedded"] = "embedded"
    is_private: bool = False

    def ready(self, desk: Desk) -> Readiness:
        """Whether there is any record of the kind."""
        kinds = desk.corpus.kinds()
        number = kinds.get(self.corpus_kind, 0) if self.corpus_kind else sum(kinds.values())
        return READY if number else Readiness(False, self.reason)

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """Its best hits."""
        words = [arguments[name] for name in self.query_names if arguments.get(name)]
        wanted = int(arguments.get("max_results", 5))
        hits = await asyncio.to_thread(
            desk.corpus.search, self.corpus_kind, " ".join(words), wanted
        )
        return tuple(hits)
