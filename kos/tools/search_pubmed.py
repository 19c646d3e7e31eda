"""search_pubmed: biomedical literature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kos.tools.base import TOOLS, Found, Tool
from kos.tools.chain import ask
from kos.tools.desk import Desk
from kos.tools.schema import accept, declaration

DECLARATION = declaration(
    "search_pubmed",
    "Search PubMed for biomedical literature. Keep the query to 3 to 5 medical terms.",
    {
        "query": {
            "type": "string",
            "description": "3 to 5 medical terms",
            "minLength": 2,
            "maxLength": 120,
        },
        "max_results": {
            "type": "integer",
            "description": "Number of articles",
            "minimum": 1,
            "maximum": 10,
            "default": 5,
        },
        "publication_type": {
            "type": "string",
            "enum": [
                "any",
                "review",
                "meta_analysis",
                "randomized_controlled_trial",
                "practice_guideline",
            ],
            "default": "any",
        },
    },
    required=("query",),
)


@TOOLS.register
class SearchPubmed(Tool):
    """PubMed."""

    kind: Literal["search_pubmed"] = "search_pubmed"

    def declare(self) -> Mapping[str, Any]:
        """Its declaration."""
        return DECLARATION

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """Search PubMed, or the articles known here."""
        return await ask(self.kind, accept(arguments, DECLARATION), desk)
