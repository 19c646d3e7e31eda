"""read_url: one page in full, from the conversation's own sources, this machine, or the web.

Only a URL that has occurred in this conversation is fetched: a page that tells the model to
"look up" an address with the conversation in it gets nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import httpx

from kos.errors import UserError
from kos.tools.base import TOOLS, Found, Provenance, Record, Tool
from kos.tools.chain import clean
from kos.tools.desk import Desk, canonical
from kos.tools.extraction import extract
from kos.tools.net.cache import key_of, pack, seconds_kept, unpack
from kos.tools.net.failures import UnavailableError
from kos.tools.net.pages import SECONDS, admit, fetch_page
from kos.tools.passages import put_first
from kos.tools.providers.base import now
from kos.tools.schema import accept, declaration

VERSION = "1"
LOCAL = "kos://"
LOCAL_DOC = "kos://doc/"
DECLARATION = declaration(
    "read_url",
    "Read one web page when a search result needs its full text.",
    {
        "url": {
            "type": "string",
            "description": "https URL from an earlier result",
            "maxLength": 2000,
        },
        "focus": {
            "type": "string",
            "description": "What to look for; the most relevant parts are returned first",
        },
    },
    required=("url",),
)


@TOOLS.register
class ReadUrl(Tool):
    """Read a page."""

    kind: Literal["read_url"] = "read_url"

    @property
    def timeout_seconds(self) -> float:
        """A page may take longer than a search."""
        return SECONDS

    def declare(self) -> Mapping[str, Any]:
        """Its declaration."""
        return DECLARATION

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """The page's text; with ``focus``, what answers it first."""
        asked = accept(arguments, DECLARATION)
        url, focus = asked["url"].strip(), asked.get("focus", "")
        found = await (_local(url, desk) if url.startswith(LOCAL) else _page(url, desk))
        if not focus:
            return found
        records = (replace(one, text=put_first(one.text, focus)) for one in found.records)
        return replace(found, records=tuple(records))


async def _local(url: str, desk: Desk) -> Found:
    """A source of this conversation by its number, or a record of the corpus by its address."""
    source = desk.sources.get(url.removeprefix(LOCAL_DOC).strip("[]"))
    if source is not None:
        provenance = Provenance(**source.provenance)  # type: ignore[arg-type]
        notice = f"source: {provenance.mode} {provenance.provider}, the whole of {source.id}"
        record = Record(source.title, source.url, source.text, provenance)
        return Found((record,), notice, provenance.mode)
    record_here = await asyncio.to_thread(desk.corpus.find, url)
    if record_here is None:
        known = ", ".join(f"{LOCAL_DOC}{name}" for name in desk.sources) or "none yet"
        raise UserError(f"there is no {url[:200]}. Sources of this conversation: {known}.")
    return _from_corpus(record_here)


async def _page(url: str, desk: Desk) -> Found:
    here = await asyncio.to_thread(desk.corpus.find, url)
    if desk.is_offline and here is not None:
        return _from_corpus(here, "offline: the page itself was not read")
    if not desk.knows(url):
        if here is not None:
            return _from_corpus(here)
        raise UserError(
            "that URL is neither in the question nor in an earlier result, and no other is "
            "read. Take the URL of a result exactly as it stands there."
        )
    admitted = admit(url, desk.reading)
    arguments = {"url": canonical(str(admitted)) or str(admitted)}
    key = key_of("read_url", "fetch", version=VERSION, arguments=arguments)
    kept = await desk.cache.get(key)
    if kept is not None:
        (record,) = unpack(kept)
        when = record.provenance.retrieved_at
        return Found((record,), f"source: cache {admitted.host}, retrieved {when}", "cache")
    if desk.is_offline:
        raise UserError("offline: that page is not on this machine. Use what the searches found.")
    try:
        record = await _fetch(url, desk)
    except UnavailableError as error:
        if here is not None:
            return _from_corpus(here, f"{admitted.host}: {error}")
        raise UserError(f"{admitted.host} could not be read ({error}). Read another.") from error
    await desk.cache.put(key, pack((record,)), seconds_kept("read_url"))
    return Found((record,), f"source: live {admitted.host}", "live")


async def _fetch(url: str, desk: Desk) -> Record:
    if desk.num_fetches >= desk.reading.max_fetches:
        raise UserError(
            f"{desk.num_fetches} pages were read for this question, which is the most. Answer "
            "with what you have."
        )
    desk.num_fetches += 1
    reply = await fetch_page(url, desk)
    page = await extract(
        reply.content, reply.content_type, charset=reply.charset, url=str(reply.url)
    )
    if not page.text.strip():
        raise UserError("that page shows no text without its scripts. Read another result.")
    return clean(_record(page.title or str(reply.url), page.text, reply.url))


def _record(title: str, text: str, url: httpx.URL) -> Record:
    provenance = Provenance(
        provider=url.host,
        mode="live",
        source_url=str(url),
        retrieved_at=now(),
        licence="the page's own",
        attribution=url.host,
    )
    return Record(title, str(url), text, provenance)


def _from_corpus(record: Record, *reasons: str) -> Found:
    provenance = record.provenance
    version = f" {provenance.data_version}" if provenance.data_version else ""
    source = f"source: {provenance.mode} {provenance.provider}{version}"
    return Found((clean(record),), "; ".join([source, *reasons]), provenance.mode)
