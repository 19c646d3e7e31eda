"""MedlinePlus: health topics by search (XML), and by ICD-10-CM code through Connect (JSON)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from kos.tools.base import Record
from kos.tools.corpus.codes import codes_in
from kos.tools.desk import Desk
from kos.tools.net.failures import UnavailableError
from kos.tools.net.wire import Request
from kos.tools.providers.base import LiveSource, plain
from kos.tools.registry import provide

SEARCH_URL = "https://wsearch.nlm.nih.gov/ws/query"
CONNECT_URL = "https://connect.medlineplus.gov/service"
ICD10CM = "2.16.840.1.113883.6.90"
ATTRIBUTION = "MedlinePlus.gov, U.S. National Library of Medicine"
LICENCE = "public domain (U.S. government) for health topic summaries"
MAX_RECORDS = 5
_HEADING = re.compile(r"<h[2-6][^>]*>(.*?)</h[2-6]>", re.IGNORECASE | re.DOTALL)
_BREAK = re.compile(r"</(p|li|ul|ol|div)>|<br\s*/?>", re.IGNORECASE)
_ITEM = re.compile(r"<li[^>]*>", re.IGNORECASE)


@provide
class MedlinePlus(LiveSource):
    """MedlinePlus."""

    tool = "search_triage_guideline"
    name = "medlineplus"
    title = "MedlinePlus"
    version = "2"
    licence = LICENCE
    attribution = ATTRIBUTION

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """Health topics; a query that is misspelled is asked again as it suggests."""
        query = str(arguments["query"])
        codes = codes_in(query)
        if codes and (found := await self._by_code(codes[0], desk)):
            return found
        root = await self._by_name(query, desk)
        correction = (root.findtext("spellingCorrection") or "").strip()
        if correction and not root.findall("list/document"):
            root = await self._by_name(correction, desk)
        return tuple(self._topic(one) for one in root.findall("list/document")[:MAX_RECORDS])

    async def _by_name(self, term: str, desk: Desk) -> Element:
        asked: dict[str, str | int] = {"db": "healthTopics", "term": term, "retmax": MAX_RECORDS}
        reply = await desk.wire.send(Request(SEARCH_URL, params=asked | {"rettype": "all"}))
        try:
            root: Element = fromstring(reply.content)
        except (ParseError, DefusedXmlException) as error:
            raise UnavailableError("its answer is broken XML") from error
        return root

    async def _by_code(self, code: str, desk: Desk) -> tuple[Record, ...]:
        asked = {
            "mainSearchCriteria.v.cs": ICD10CM,
            "mainSearchCriteria.v.c": code,
            "informationRecipient.languageCode.c": "en",
            "knowledgeResponseType": "application/json",
        }
        reply = await desk.wire.send(Request(CONNECT_URL, params=asked))
        entries = reply.json().get("feed", {}).get("entry") or []
        return tuple(self._entry(one) for one in entries[:MAX_RECORDS])

    def _topic(self, document: Element) -> Record:
        content: dict[str, list[str]] = {}
        for part in document.findall("content"):
            content.setdefault(part.get("name") or "", []).append(part.text or "")
        url = _link(document.get("url") or "")
        text = as_text(" ".join(content.get("FullSummary") or content.get("snippet") or ()))
        also = "; ".join(plain(one) for one in content.get("altTitle", ()))
        return Record(
            title=plain(" ".join(content.get("title", ()))),
            url=url,
            text="\n\n".join(filter(None, [f"Also called: {also}" if also else "", text])),
            provenance=self.provenance(url),
        )

    def _entry(self, entry: Mapping[str, Any]) -> Record:
        links = entry.get("link") or [{}]
        url = _link(str(links[0].get("href") or "")).split("?")[0]
        return Record(
            title=plain(str(entry.get("title", {}).get("_value") or "")),
            url=url,
            text=as_text(str(entry.get("summary", {}).get("_value") or "")),
            provenance=self.provenance(url),
        )


def as_text(markup: str) -> str:
    """HTML as light Markdown: headings as ``## ``, items as ``- ``, a blank line a paragraph."""
    text = _HEADING.sub(lambda match: f"\n\n## {plain(match.group(1))}\n", markup)
    text = _ITEM.sub("\n- ", _BREAK.sub("\n\n", text))
    lines = [plain(line) for line in text.split("\n")]
    return re.sub(
        r"\n(?:\s*\n)+(- )", r"\n\1", re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    ).strip()


def _link(url: str) -> str:
    """Only pages of MedlinePlus itself: its copyrighted parts are linked there, not kept."""
    host = urlsplit(url).hostname or ""
    return url if host == "medlineplus.gov" or host.endswith(".medlineplus.gov") else ""
