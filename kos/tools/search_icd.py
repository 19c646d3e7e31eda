"""search_icd: codes and definitions, ICD-11 by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from kos.tools.base import TOOLS, Found, Tool
from kos.tools.chain import ask
from kos.tools.desk import Desk
from kos.tools.schema import accept, declaration

DECLARATION = declaration(
    "search_icd",
    "Search ICD codes and definitions by condition name or code.",
    {
        "query": {
            "type": "string",
            "description": "Condition name or code",
            "minLength": 2,
            "maxLength": 120,
        },
        "version": {"type": "string", "enum": ["icd11", "icd10"], "default": "icd11"},
    },
    required=("query",),
)
OTHER_REVISION = "ICD-11 is not on this machine: these are ICD-10-CM codes"


@TOOLS.register
class SearchIcd(Tool):
    """ICD codes."""

    kind: Literal["search_icd"] = "search_icd"

    def declare(self) -> Mapping[str, Any]:
        """Its declaration."""
        return DECLARATION

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """Search with the first source that answers; another revision than asked for is told."""
        asked = accept(arguments, DECLARATION)
        found = await ask(self.kind, asked, desk)
        is_other = any(record.url.startswith("kos://corpus/icd10cm/") for record in found.records)
        if asked["version"] == "icd11" and is_other:
            return replace(found, notice=f"{found.notice}; {OTHER_REVISION}")
        return found
