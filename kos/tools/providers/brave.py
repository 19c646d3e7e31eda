"""Brave Search: an index of its own. The plan decides whether results may be stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kos.tools.base import Record
from kos.tools.desk import Desk
from kos.tools.net.wire import Request
from kos.tools.providers.base import LiveSource, domain_of, plain
from kos.tools.registry import provide

URL = "https://api.search.brave.com/res/v1/web/search"
MAX_QUERY_CHARS, MAX_QUERY_WORDS = 400, 50


@provide
class Brave(LiveSource):
    """Brave Search."""

    tool = "web_search"
    name = "brave"
    title = "Brave Search"
    version = "v1"
    key = "brave"
    is_private = True
    attribution = "Brave Search"

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The first results, with their extra snippets."""
        key = desk.keys[self.key]
        reply = await desk.wire.send(
            Request(
                URL,
                params={
                    "q": _query(arguments),
                    "count": arguments.get("max_results", 5),
                    "extra_snippets": "true",
                },
                headers={"X-Subscription-Token": key, "Accept": "application/json"},
                secrets=(key,),
                lane=desk.owner,
            )
        )
        hits = (reply.json().get("web") or {}).get("results") or ()
        return tuple(self._record(hit) for hit in hits[: arguments.get("max_results", 5)])

    def _record(self, hit: Mapping[str, Any]) -> Record:
        snippets = [hit.get("description"), *(hit.get("extra_snippets") or ())]
        return Record(
            title=plain(hit.get("title")),
            url=hit.get("url") or "",
            text="\n".join(plain(snippet) for snippet in snippets if snippet),
            provenance=self.provenance(hit.get("url") or ""),
            sections={"Date": hit["age"]} if hit.get("age") else {},
        )


def _query(arguments: Mapping[str, Any]) -> str:
    site = f"site:{domain_of(arguments['site'])} " if arguments.get("site") else ""
    words = (site + arguments["query"]).split()[:MAX_QUERY_WORDS]
    return " ".join(words)[:MAX_QUERY_CHARS]
