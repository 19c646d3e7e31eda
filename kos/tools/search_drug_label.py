"""search_drug_label: what a drug's label says, by section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kos.tools.base import TOOLS, Found, Tool
from kos.tools.chain import ask
from kos.tools.desk import Desk
from kos.tools.providers.labels import SECTIONS
from kos.tools.schema import accept, declaration

DECLARATION = declaration(
    "search_drug_label",
    "Look up drug label information (RxNorm, openFDA, DailyMed): dosing, contraindications, "
    "boxed warnings, interactions, adverse reactions, pregnancy and other populations.",
    {
        "drug": {
            "type": "string",
            "description": "Generic or brand name",
            "minLength": 2,
            "maxLength": 80,
        },
        "sections": {
            "type": "array",
            "description": "Label sections to return; all main sections when omitted",
            "items": {"type": "string", "enum": list(SECTIONS)},
            "maxItems": 6,
        },
    },
    required=("drug",),
)


@TOOLS.register
class SearchDrugLabel(Tool):
    """Drug labels."""

    kind: Literal["search_drug_label"] = "search_drug_label"

    def declare(self) -> Mapping[str, Any]:
        """Its declaration."""
        return DECLARATION

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """Look it up in the first source that answers."""
        return await ask(self.kind, accept(arguments, DECLARATION), desk)
