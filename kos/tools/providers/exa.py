"""Exa: web search by meaning, with the sentences that match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kos.tools.base import Record
from kos.tools.desk import Desk
from kos.tools.net.wire import Request
from kos.tools.providers.base import LiveSource, domain_of, plain
from kos.tools.registry import provide

URL = "https://api.exa.ai/search"
MAX_TEXT_CHARS = 4000


@provide
class Exa(LiveSource):
    """Exa."""

    tool = "web_search"
    name = "exa"
    title = "Exa"
    version = "v1"
    key = "exa"
    is_private = True
    attribution = "Exa"

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The first results with their highlights."""
        key = desk.keys[self.key]
        body = {
            "query": arguments["query"],
            "numResults": arguments.get("max_results", 5),
            "contents": {"highlights": True},
        }
        if arguments.get("site"):
            body["includeDomains"] = [domain_of(arguments["site"])]
        reply = await desk.wire.send(
            Request(
                URL,
                method="POST",
                json=body,
                headers={"x-api-key": key},
                secrets=(key,),
                lane=desk.owner,
            )
        )
        return tuple(self._record(hit) for hit in reply.json().get("results") or ())

    def _record(self, hit: Mapping[str, Any]) -> Record:
        parts = hit.get("highlights") or [hit.get("text") or hit.get("summary") or ""]
        day = (hit.get("publishedDate") or "")[:10]
        return Record(
            title=plain(hit.get("title")) or hit.get("url") or "",
            url=hit.get("url") or "",
            text="\n".join(plain(part) for part in parts)[:MAX_TEXT_CHARS],
            provenance=self.provenance(hit.get("url") or ""),
            sections={"Date": day} if day else {},
            score=float(hit.get("score") or 0.0),
        )
