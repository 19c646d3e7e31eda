"""What lies on this machine, for the tools whose embedded source is the corpus itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from kos.tools.base import Record
from kos.tools.desk import Desk
from kos.tools.providers.base import CorpusSource, domain_of
from kos.tools.providers.ctgov import STATUSES
from kos.tools.registry import provide

# A site may have few of the first hits, so more are looked at.
DEPTH = 10


@provide
class LocalWeb(CorpusSource):
    """All records here, standing in for the web."""

    tool = "web_search"
    title = "local corpus"
    corpus_kind = ""

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """Its best hits, of one site if one is named."""
        if not arguments.get("site"):
            return await super().search(arguments, desk)
        site, wanted = domain_of(arguments["site"]), int(arguments.get("max_results", 5))
        hits = await super().search(dict(arguments) | {"max_results": wanted * DEPTH}, desk)
        return tuple(hit for hit in hits if _is_of(hit.url, site))[:wanted]


@provide
class LocalLiterature(CorpusSource):
    """Articles whose titles are known here."""

    tool = "search_pubmed"
    title = "local literature list"
    corpus_kind = "pubmed"
    reason = "no literature imported"


@provide
class LocalTrials(CorpusSource):
    """Trials from an imported registry file; none comes with Kos."""

    tool = "search_clinical_trials"
    title = "imported trial registry"
    corpus_kind = "trial"
    query_names = ("condition", "intervention")
    reason = "no registry imported"

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """Its best hits of the wanted status."""
        statuses, wanted = (
            STATUSES[arguments.get("status", "any")],
            arguments.get("max_results", 5),
        )
        hits = await super().search(dict(arguments) | {"max_results": wanted * DEPTH}, desk)
        return tuple(
            hit for hit in hits if not statuses or hit.sections.get("Status") in statuses
        )[:wanted]


def _is_of(url: str, site: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == site or host.endswith(f".{site}")
