"""SearXNG: a metasearch engine the operator runs; the only one that needs no key.

Its address is the operator's (option ``searxng_url``) and may be a private one: for this source
alone the guard lets that very host and port through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from kos.tools.base import Record
from kos.tools.desk import READY, Desk, Readiness
from kos.tools.net.failures import UnavailableError
from kos.tools.net.wire import Reply, Request
from kos.tools.providers.base import LiveSource, domain_of, plain
from kos.tools.registry import provide


@provide
class SearXNG(LiveSource):
    """SearXNG."""

    tool = "web_search"
    name = "searxng"
    title = "SearXNG"
    version = "v1"
    attribution = "SearXNG"

    def ready(self, desk: Desk) -> Readiness:
        """Whether the operator has named one."""
        url = desk.options.get("searxng_url", "")
        if not url:
            return Readiness(False, "no address")
        return READY if origin_of(url) else Readiness(False, "its address is no http URL")

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The first results; it has no option for how many."""
        base = desk.options["searxng_url"].rstrip("/")
        site = f" site:{domain_of(arguments['site'])}" if arguments.get("site") else ""
        params = {"q": arguments["query"] + site, "format": "json", "categories": "general"}
        reply = await desk.wire.send(
            Request(
                f"{base}/search",
                params=params | {"language": "en"},
                accepts=(403,),
                allowed=frozenset({origin_of(base)}),
            )
        )
        hits = _hits(reply)[: arguments.get("max_results", 5)]
        return tuple(self._record(hit) for hit in hits)

    def _record(self, hit: Mapping[str, Any]) -> Record:
        engines = ", ".join(hit.get("engines") or [hit.get("engine") or ""])
        return Record(
            title=plain(hit.get("title")),
            url=hit.get("url") or "",
            text=plain(hit.get("content")),
            provenance=self.provenance(hit.get("url") or ""),
            sections={"Engines": engines} if engines else {},
            score=float(hit.get("score") or 0.0),
        )


def origin_of(url: str) -> str:
    """The "host:port" of an address the operator has set, for the guard's list; "" for none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return ""
    if parsed.scheme not in ("http", "https") or not parsed.host:
        return ""
    return f"{parsed.host}:{parsed.port or (443 if parsed.scheme == 'https' else 80)}"


def _hits(reply: Reply) -> list[Mapping[str, Any]]:
    if reply.status == 403:
        raise UnavailableError(
            "HTTP 403, add json to search.formats in its settings.yml", is_failure=False
        )
    found = reply.json()
    hits: list[Mapping[str, Any]] = found.get("results") or []
    silent = [": ".join(map(str, engine)) for engine in found.get("unresponsive_engines") or ()]
    # Nothing found because nobody was asked is not "nothing there".
    if not hits and silent:
        raise UnavailableError(f"its engines do not answer ({', '.join(silent)[:200]})")
    return hits
