"""DailyMed: the list of labels as JSON, a label as HL7 SPL in XML only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from kos.tools.base import Record
from kos.tools.desk import Desk
from kos.tools.net.failures import UnavailableError
from kos.tools.net.wire import Request
from kos.tools.providers import labels, rxnorm
from kos.tools.providers.base import NLM_ATTRIBUTION, LiveSource
from kos.tools.registry import provide

URL = "https://dailymed.nlm.nih.gov/dailymed/services/v2"
SET_ID = re.compile(r"[0-9a-fA-F-]{36}")


@provide
class DailyMed(LiveSource):
    """DailyMed."""

    tool = "search_drug_label"
    name = "dailymed"
    title = "DailyMed"
    version = "v2"
    licence = "public domain (U.S. government); labels are their makers' text"
    attribution = NLM_ATTRIBUTION

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The label that is meant, in the sections wanted."""
        drug = str(arguments["drug"])
        concept = await rxnorm.resolve(drug, desk)
        listed = await self._list(concept.name, desk)
        if not listed and concept.name != drug.lower():
            listed = await self._list(drug, desk)
        if not listed:
            return ()
        entry = _choose(listed, generic=concept.name, asked=drug)
        set_id = str(entry["setid"])
        if not SET_ID.fullmatch(set_id):
            raise UnavailableError("its list names a label without a valid id")
        reply = await desk.wire.send(Request(f"{URL}/spls/{set_id}.xml"))
        label = read_spl(reply.content)
        provenance = self.provenance(label.url, data_version=label.effective)
        wanted = tuple(arguments.get("sections") or ())
        lines = [concept.line] if concept.line else []
        return (labels.record_of(label, provenance, wanted=wanted, lines=lines),)

    async def _list(self, name: str, desk: Desk) -> list[dict[str, Any]]:
        asked: dict[str, str | int] = {"drug_name": name, "name_type": "both"}
        asked |= {"pagesize": 100, "page": 1}
        reply = await desk.wire.send(Request(f"{URL}/spls.json", params=asked))
        return list(reply.json().get("data") or [])


def read_spl(content: bytes) -> labels.Label:
    """The label in an SPL document; ``UnavailableError`` when it is broken."""
    try:
        return labels.from_spl(fromstring(content))
    except (ParseError, DefusedXmlException) as error:
        raise UnavailableError("its label is broken XML") from error


def _choose(entries: list[dict[str, Any]], *, generic: str, asked: str) -> dict[str, Any]:
    """By the title alone, "BRAND (GENERIC) FORM [MAKER]"; the list tells no product type."""
    by_id = {str(entry["setid"]): entry for entry in entries}
    read = [_label(entry) for entry in entries]
    best = labels.choose(read, generic=generic, asked=asked)[0]
    return by_id[best.set_id]


def _label(entry: Mapping[str, Any]) -> labels.Label:
    title = re.sub(r"\s*\[[^\]]*\]\s*$", "", str(entry.get("title") or ""))
    inside = re.search(r"\(([^)]+)\)", title)
    generic = (inside.group(1) if inside else title).lower()
    brand = title.split(" (")[0] if inside else ""
    return labels.Label(
        set_id=str(entry["setid"]),
        title=title,
        generics=(generic,),
        brands=(brand,) if brand else (),
        effective=_iso(str(entry.get("published_date") or "")),
        is_prescription=True,
    )


def _iso(text: str) -> str:
    try:
        return datetime.strptime(text, "%b %d, %Y").date().isoformat()
    except ValueError:
        return ""
