"""search_triage_guideline: patient education, guidelines and red flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kos.tools.base import TOOLS, Found, Tool
from kos.tools.chain import ask
from kos.tools.desk import Desk
from kos.tools.schema import accept, declaration

DECLARATION = declaration(
    "search_triage_guideline",
    "Search patient-education and guideline pages (MedlinePlus, NHS). Use a short condition or "
    "symptom name.",
    {
        "query": {
            "type": "string",
            "description": "Condition or symptom, 1 to 4 words",
            "minLength": 2,
            "maxLength": 80,
        },
    },
    required=("query",),
)


@TOOLS.register
class SearchTriageGuideline(Tool):
    """Guidelines and patient education."""

    kind: Literal["search_triage_guideline"] = "search_triage_guideline"

    def declare(self) -> Mapping[str, Any]:
        """Its declaration."""
        return DECLARATION

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """Search with the first source that answers."""
        return await ask(self.kind, accept(arguments, DECLARATION), desk)
