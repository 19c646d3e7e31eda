"""search_clinical_trials: what is being tried, where, on whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kos.tools.base import TOOLS, Found, Tool
from kos.tools.chain import ask
from kos.tools.desk import Desk
from kos.tools.schema import accept, declaration

DECLARATION = declaration(
    "search_clinical_trials",
    "Search ClinicalTrials.gov. Use only when the user asks about experimental treatments, "
    "enrollment or trial status.",
    {
        "condition": {
            "type": "string",
            "description": "Condition or disease",
            "minLength": 2,
            "maxLength": 120,
        },
        "intervention": {"type": "string", "description": "Drug, device or procedure"},
        "status": {
            "type": "string",
            "enum": ["any", "recruiting", "active", "completed"],
            "default": "any",
        },
        "max_results": {
            "type": "integer",
            "description": "Number of trials",
            "minimum": 1,
            "maximum": 10,
            "default": 5,
        },
    },
    required=("condition",),
)


@TOOLS.register
class SearchClinicalTrials(Tool):
    """Clinical trials."""

    kind: Literal["search_clinical_trials"] = "search_clinical_trials"

    def declare(self) -> Mapping[str, Any]:
        """Its declaration."""
        return DECLARATION

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """Search the registry; off line and without an import, honestly nothing."""
        return await ask(self.kind, accept(arguments, DECLARATION), desk)
