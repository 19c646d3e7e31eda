"""WHO's ICD API, on line with a token or as a local container without one.

It reports errors inside HTTP 200, marks hits with ``<em>``, and names entities by http URIs
that have to be asked for elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from kos.tools.base import Record
from kos.tools.corpus.codes import codes_in
from kos.tools.desk import READY, Desk, Readiness
from kos.tools.net.failures import RefusedError, UnavailableError
from kos.tools.net.wire import Reply, Request
from kos.tools.providers.base import LiveSource, plain
from kos.tools.registry import provide

URL = "https://id.who.int"
TOKEN_URL = "https://icdaccessmanagement.who.int/connect/token"  # noqa: S105
RELEASE = "2025-01"
MAX_HITS = 6
# How many of the hits are read whole: each costs one more question.
MAX_READ = 3
# A token is renewed this much before it ends.
SPARE_SECONDS = 60.0
LICENCE = "CC BY-ND 3.0 IGO"
ATTRIBUTION = (
    "International Classification of Diseases, Eleventh Revision (ICD-11), World Health "
    "Organization (WHO) 2019/2021, https://icd.who.int/browse11. Licensed under Creative Commons "
    "Attribution-NoDerivatives 3.0 IGO (CC BY-ND 3.0 IGO)."
)


@provide
class WhoIcd(LiveSource):
    """WHO ICD API."""

    tool = "search_icd"
    name = "who_icd"
    title = "WHO ICD"
    version = "v2"
    licence = LICENCE
    attribution = ATTRIBUTION

    def __init__(self) -> None:
        # Tokens by who asks, with the time they end on the wire's clock.
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    def ready(self, desk: Desk) -> Readiness:
        """A local container needs no key; WHO's own server needs two."""
        has_keys = bool(desk.keys.get("who_client_id") and desk.keys.get("who_client_secret"))
        return READY if desk.options.get("who_url") or has_keys else Readiness(False, "no key")

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The entities of the query; a code is looked up as one."""
        query, version = str(arguments["query"]), arguments.get("version", "icd11")
        codes = codes_in(query)
        if version == "icd10":
            if not codes:
                raise UnavailableError("searches ICD-10 by code only", is_failure=False)
            return await self._by_code(f"/icd/release/10/2019/{codes[0]}", desk)
        if codes and query.strip().upper() in codes:
            found = await self._get(f"{_mms(desk)}/codeinfo/{codes[-1]}", desk, accepts=(404,))
            if found:
                return await self._by_code(_path(found["stemId"]), desk)
        return await self._by_name(query, desk)

    async def _by_code(self, path: str, desk: Desk) -> tuple[Record, ...]:
        entity = await self._get(path, desk, accepts=(404,))
        return (self._record(entity),) if entity else ()

    async def _by_name(self, query: str, desk: Desk) -> tuple[Record, ...]:
        asked = {
            "q": query,
            "useFlexisearch": "true",
            "flatResults": "true",
            "highlightingEnabled": "false",
            "medicalCodingMode": "true",
        }
        found = await self._get(f"{_mms(desk)}/search", desk, params=asked)
        if found.get("error"):
            raise UnavailableError(
                f"error inside HTTP 200, {plain(str(found.get('errorMessage')))[:200]}"
            )
        hits = list(found.get("destinationEntities") or ())[:MAX_HITS]
        entities = await asyncio.gather(*(self._read(hit, desk) for hit in hits[:MAX_READ]))
        whole = [self._record(entity, hit) for entity, hit in zip(entities, hits, strict=False)]
        return (*whole, *(self._record({}, hit) for hit in hits[MAX_READ:]))

    async def _read(self, hit: Mapping[str, Any], desk: Desk) -> dict[str, Any]:
        """The whole entity; without it the hit still has a code and a title."""
        try:
            return await self._get(_path(hit["stemId"]), desk, accepts=(404,))
        except (UnavailableError, RefusedError):
            return {}

    def _record(self, entity: Mapping[str, Any], hit: Mapping[str, Any] | None = None) -> Record:
        hit = hit or {}
        code = str(hit.get("theCode") or entity.get("code") or "")
        title = plain(str(hit.get("title") or _value(entity.get("title"))))
        url = str(entity.get("browserUrl") or hit.get("id") or entity.get("@id") or "")
        sections = {
            "Definition": _value(entity.get("definition")),
            "Inclusions": "; ".join(_labels(entity.get("inclusion"))),
            "Exclusions": "; ".join(_labels(entity.get("exclusion"))),
            "Index terms": "; ".join(_labels(entity.get("indexTerm"))[:20]),
        }
        sections = {name: text for name, text in sections.items() if text}
        return Record(
            title=f"{code} {title}".strip(),
            url=url.replace("http://", "https://", 1),
            text="\n".join([f"Code {code}: {title}", *(f"{k}: {v}" for k, v in sections.items())]),
            provenance=self.provenance(
                url, data_version=_release(str(hit.get("id") or entity.get("@id")))
            ),
            sections=sections,
            score=float(hit.get("score") or 0.0),
        )

    async def _get(
        self,
        path: str,
        desk: Desk,
        *,
        params: Mapping[str, str] | None = None,
        accepts: tuple[int, ...] = (),
    ) -> dict[str, Any]:
        """A JSON object; {} on an accepted 404. A token that was refused is renewed once."""
        reply = await self._send(path, desk, params or {}, accepts)
        if reply.status == 401:
            self._tokens.pop(_whose(desk), None)
            reply = await self._send(path, desk, params or {}, accepts)
        if reply.status == 401:
            raise UnavailableError("its token is refused", is_failure=False)
        if reply.status == 404:
            return {}
        found = reply.json()
        if not isinstance(found, dict):
            raise UnavailableError("its answer has another form than expected")
        return found

    async def _send(
        self, path: str, desk: Desk, params: Mapping[str, str], accepts: tuple[int, ...]
    ) -> Reply:
        base = desk.options.get("who_url", "").rstrip("/")
        headers = {"API-Version": "v2", "Accept-Language": "en", "Accept": "application/json"}
        token = "" if base else await self._token(desk)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return await desk.wire.send(
            Request(
                f"{base or URL}{path}",
                params=params,
                headers=headers,
                secrets=(token,) if token else (),
                accepts=(401, *accepts),
                allowed=frozenset({_host(base)}) if base else frozenset(),
            )
        )

    async def _token(self, desk: Desk) -> str:
        """The token of this client, fetched anew shortly before it ends."""
        kept, until = self._tokens.get(_whose(desk), ("", 0.0))
        if kept and desk.wire.clock() < until:
            return kept
        form = {
            "grant_type": "client_credentials",
            "scope": "icdapi_access",
            "client_id": desk.keys["who_client_id"],
            "client_secret": desk.keys["who_client_secret"],
        }
        secrets = (form["client_id"], form["client_secret"])
        request = Request(TOKEN_URL, method="POST", form=form, secrets=secrets, accepts=(400, 401))
        found = (await desk.wire.send(request)).json()
        token = found.get("access_token") if isinstance(found, dict) else None
        if not token:
            raise UnavailableError(f"no token ({found.get('error', 'unknown')})", is_failure=False)
        until = desk.wire.clock() + float(found.get("expires_in", 3600)) - SPARE_SECONDS
        self._tokens[_whose(desk)] = (str(token), until)
        return str(token)


def _mms(desk: Desk) -> str:
    return f"/icd/release/11/{desk.options.get('who_release') or RELEASE}/mms"


def _whose(desk: Desk) -> tuple[str, str]:
    return desk.keys.get("who_client_id", ""), desk.keys.get("who_client_secret", "")


def _path(uri: str) -> str:
    """The path of an entity's URI; it is asked for at our own base, never where the URI says."""
    path = urlsplit(uri).path
    if not path.startswith("/icd/"):
        raise UnavailableError("its answer names an entity elsewhere")
    return path


def _host(base: str) -> str:
    parts = urlsplit(base)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _value(text: Any) -> str:
    return plain(str(text.get("@value") or "")) if isinstance(text, dict) else ""


def _labels(entries: Any) -> list[str]:
    return [_value(entry.get("label")) for entry in entries or () if isinstance(entry, dict)]


def _release(uri: str) -> str:
    parts = urlsplit(uri).path.split("/")
    if len(parts) < 5 or parts[1:3] != ["icd", "release"]:
        return ""
    return f"ICD-{parts[3]} {parts[4]}"
