"""web_search: the open web, or all that lies on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kos.tools.base import TOOLS, Found, Tool
from kos.tools.chain import ask
from kos.tools.desk import Desk
from kos.tools.schema import accept, declaration

DECLARATION = declaration(
    "web_search",
    "General web search. Use for ambiguous abbreviations, current guideline look-ups, as a "
    "fallback, and to compare sources.",
    {
        "query": {
            "type": "string",
            "description": "Search query",
            "minLength": 2,
            "maxLength": 200,
        },
        "max_results": {
            "type": "integer",
            "description": "Number of results",
            "minimum": 1,
            "maximum": 10,
            "default": 5,
        },
        "site": {
            "type": "string",
            "description": "Restrict to one domain, for example who.int",
        },
    },
    required=("query",),
)


@TOOLS.register
class WebSearch(Tool):
    """Web search."""

    kind: Literal["web_search"] = "web_search"

    def declare(self) -> Mapping[str, Any]:
        """Its declaration."""
        return DECLARATION

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """Search with the first source that answers."""
        return await ask(self.kind, accept(arguments, DECLARATION), desk)
