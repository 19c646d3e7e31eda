"""Tavily: web search made for models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kos.tools.base import Record
from kos.tools.desk import Desk
from kos.tools.net.wire import Request
from kos.tools.providers.base import LiveSource, domain_of, plain
from kos.tools.registry import provide

URL = "https://api.tavily.com/search"


@provide
class Tavily(LiveSource):
    """Tavily."""

    tool = "web_search"
    name = "tavily"
    title = "Tavily"
    version = "v1"
    key = "tavily"
    is_private = True
    attribution = "Tavily"

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The first results."""
        key = desk.keys[self.key]
        sites = [domain_of(arguments["site"])] if arguments.get("site") else []
        reply = await desk.wire.send(
            Request(
                URL,
                method="POST",
                json={
                    "query": arguments["query"],
                    "search_depth": "basic",
                    "topic": "general",
                    "max_results": arguments.get("max_results", 5),
                    "include_domains": sites,
                },
                headers={"Authorization": f"Bearer {key}"},
                secrets=(key,),
                lane=desk.owner,
            )
        )
        return tuple(self._record(hit) for hit in reply.json().get("results") or ())

    def _record(self, hit: Mapping[str, Any]) -> Record:
        return Record(
            title=plain(hit.get("title")),
            url=hit.get("url") or "",
            text=plain(hit.get("content")),
            provenance=self.provenance(hit.get("url") or ""),
            score=float(hit.get("score") or 0.0),
        )
