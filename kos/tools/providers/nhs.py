"""NHS website content. It has no search: lists from A to Z are kept and matched here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kos.tools.base import Record
from kos.tools.corpus.query import STOPWORDS, words_of
from kos.tools.desk import Desk
from kos.tools.net.cache import key_of
from kos.tools.net.failures import UnavailableError
from kos.tools.net.wire import Request
from kos.tools.providers.base import LiveSource, plain
from kos.tools.providers.medlineplus import as_text
from kos.tools.registry import provide

URL = "https://api.service.nhs.uk/nhs-website-content"
SITE = "https://www.nhs.uk"
LICENCE = "Open Government Licence v3.0"
ATTRIBUTION = "From the NHS website (www.nhs.uk), Crown copyright, Open Government Licence v3.0."
# NHS asks that content be renewed within a week.
LIST_SECONDS = 6 * 24 * 3600.0
MAX_PAGES = 4
MAX_RECORDS = 2
# What decides where to go stands before what explains.
ASPECTS = {
    "MedicalHelpEmergencyHealthAspect": "Call an ambulance or go to A&E",
    "MedicalHelpUrgentHealthAspect": "Urgent appointment",
    "MedicalHelpNonurgentHealthAspect": "Non-urgent appointment",
    "GettingAccessHealthAspect": "Getting help",
    "SymptomsHealthAspect": "Symptoms",
    "SelfCareHealthAspect": "Self-care",
    "OverviewHealthAspect": "Overview",
}


class Entry(NamedTuple):
    """A page in the list: its name, what else it is found by, and its path."""

    name: str
    keywords: str
    path: str


@provide
class Nhs(LiveSource):
    """NHS website content."""

    tool = "search_triage_guideline"
    name = "nhs"
    title = "NHS website"
    version = "2"
    key = "nhs"
    licence = LICENCE
    attribution = ATTRIBUTION

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The pages whose names fit best."""
        words = [
            word for word in words_of(str(arguments["query"]).lower()) if word not in STOPWORDS
        ]
        letters = dict.fromkeys(word[0].upper() for word in words if word[0].isalpha())
        lists = [await self._list(letter, desk) for letter in list(letters)[:3]]
        entries = dict.fromkeys(entry for entries in lists for entry in entries)
        chosen = _best(entries, words)[:MAX_RECORDS]
        return tuple(await asyncio.gather(*(self._page(entry, desk) for entry in chosen)))

    async def _list(self, letter: str, desk: Desk) -> list[Entry]:
        """The conditions of one letter, from the cache where they are there."""
        key = key_of(self.tool, self.name, version=self.version, arguments={"list": letter})
        kept = await desk.cache.get(key)
        if kept is not None:
            return [Entry(*one) for one in kept["entries"]]
        entries: list[Entry] = []
        for page in range(1, MAX_PAGES + 1):
            found = await self._get("conditions/", desk, {"category": letter, "page": page})
            entries += [_entry(one) for one in found.get("significantLink") or ()]
            if not any(one.get("name") == "Next Page" for one in found.get("relatedLink") or ()):
                break
        await desk.cache.put(key, {"entries": [list(one) for one in entries]}, LIST_SECONDS)
        return entries

    async def _page(self, entry: Entry, desk: Desk) -> Record:
        found = await self._get(entry.path, desk, {})
        sections = _sections(found)
        url = f"{SITE}/{entry.path}"
        reviewed = [str(day)[:10] for day in found.get("lastReviewed") or ()]
        head = [plain(str(found.get("description") or ""))]
        if reviewed:
            head.append(f"Last reviewed {reviewed[0]}")
        return Record(
            title=plain(str(found.get("name") or entry.name)),
            url=url,
            text="\n\n".join(["\n".join(head), *(f"## {k}\n{v}" for k, v in sections.items())]),
            provenance=self.provenance(
                url, data_version=str(found.get("dateModified") or "")[:10]
            ),
            sections=sections,
        )

    async def _get(self, path: str, desk: Desk, params: Mapping[str, str | int]) -> dict[str, Any]:
        key = desk.keys["nhs"]
        base = (desk.options.get("nhs_url") or URL).rstrip("/")
        reply = await desk.wire.send(
            Request(f"{base}/{path}", params=params, headers={"apikey": key}, secrets=(key,))
        )
        found = reply.json()
        if not isinstance(found, dict):
            raise UnavailableError("its answer has another form than expected")
        return found


def _entry(link: Mapping[str, Any]) -> Entry:
    page = link.get("mainEntityOfPage") or {}
    words = [str(word) for word in page.get("keywords") or ()]
    return Entry(
        plain(str(link.get("name") or "")), " ".join(words), _path(str(link.get("url") or ""))
    )


def _path(url: str) -> str:
    """The path below the base: pages are asked for there and nowhere else."""
    path = urlsplit(url).path
    _, _, below = path.partition("/nhs-website-content/")
    parts = [part for part in (below or path).split("/") if part not in ("", ".", "..")]
    return "/".join(parts) + "/"


def _best(entries: Iterable[Entry], words: list[str]) -> list[Entry]:
    """Entries with at least half of the words, those with most and the shortest name first."""
    scored = []
    for entry in entries:
        named = {word.lower() for word in words_of(entry.name)}
        known = named | {word.lower() for word in words_of(entry.keywords)}
        share = sum(word in known for word in words) / max(1, len(words))
        if share >= 0.5:
            scored.append((-share, len(named), entry))
    return [entry for _, _, entry in sorted(scored, key=lambda one: one[:2])]


def _sections(page: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    parts = sorted(page.get("hasPart") or (), key=_rank)
    for part in parts:
        aspect = str(part.get("hasHealthAspect") or "").rpartition("/")[2]
        heading = plain(str(part.get("headline") or "")) or ASPECTS.get(aspect, "Information")
        texts = [str(part.get("text") or ""), str(part.get("description") or "")]
        texts += [str(one.get("text") or "") for one in part.get("hasPart") or ()]
        text = "\n\n".join(filter(None, (as_text(one) for one in texts))).replace("\n## ", "\n")
        if text:
            found[heading] = f"{found[heading]}\n\n{text}" if heading in found else text
    return found


def _rank(part: Mapping[str, Any]) -> int:
    aspect = str(part.get("hasHealthAspect") or "").rpartition("/")[2]
    order = list(ASPECTS)
    return order.index(aspect) if aspect in order else len(order)
