"""openFDA drug labels. Its 404 means no hits; ``openfda`` may be empty over the counter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kos.tools.base import Record
from kos.tools.desk import Desk
from kos.tools.net.wire import Request
from kos.tools.providers import labels, rxnorm
from kos.tools.providers.base import NLM_ATTRIBUTION, LiveSource
from kos.tools.registry import provide

URL = "https://api.fda.gov/drug/label.json"
LICENCE = "CC0 1.0"
ATTRIBUTION = (
    "openFDA, U.S. Food and Drug Administration; do not rely on openFDA to make decisions "
    "regarding medical care. Drug names by RxNorm. " + NLM_ATTRIBUTION
)
# Whole labels are long: this many are looked at to choose from.
LIMIT = 20


@provide
class OpenFda(LiveSource):
    """openFDA."""

    tool = "search_drug_label"
    name = "openfda"
    title = "openFDA"
    version = "1"
    licence = LICENCE
    attribution = ATTRIBUTION

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The label that is meant, in the sections wanted."""
        drug = str(arguments["drug"])
        concept = await rxnorm.resolve(drug, desk)
        found = await self._ask(_by_name(drug, concept), desk)
        if not found["results"]:
            found = await self._ask(f'spl_product_data_elements:"{_safe(concept.name)}"', desk)
        read = [labels.from_openfda(one) for one in found["results"]]
        chosen = labels.choose(read, generic=concept.name, asked=drug)[:1]
        wanted = tuple(arguments.get("sections") or ())
        updated = str(found.get("meta", {}).get("last_updated") or "")
        return tuple(
            labels.record_of(
                label,
                self.provenance(label.url, data_version=updated),
                wanted=wanted,
                lines=[concept.line] if concept.line else [],
            )
            for label in chosen
        )

    async def _ask(self, search: str, desk: Desk) -> dict[str, Any]:
        key = desk.keys.get("openfda", "")
        params: dict[str, str | int] = {
            "search": search,
            "limit": LIMIT,
            "sort": "effective_time:desc",
        }
        reply = await desk.wire.send(
            Request(
                URL,
                params=params | ({"api_key": key} if key else {}),
                secrets=(key,) if key else (),
                accepts=(404,),
                lane=desk.owner if key else "",
            )
        )
        return {"results": []} if reply.status == 404 else {"results": [], **reply.json()}


def _by_name(drug: str, concept: rxnorm.Concept) -> str:
    """The space between terms means "or"."""
    names = dict.fromkeys((_safe(concept.name), _safe(drug)))
    terms = [f'openfda.rxcui:"{concept.rxcui}"'] if concept.rxcui else []
    for name in names:
        terms += [f'openfda.generic_name:"{name}"', f'openfda.brand_name:"{name}"']
    return " ".join(terms)


def _safe(name: str) -> str:
    """Without what the query language reads as its own."""
    return " ".join(re.sub(r"[^\w .,/-]", " ", name).split())
