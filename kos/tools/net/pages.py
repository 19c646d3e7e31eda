"""One web page fetched for a reader: no cookies, no keys, every hop checked anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from kos.tools.net.bodies import Caps
from kos.tools.net.failures import BlockedError, UnavailableError
from kos.tools.net.guard import check_url
from kos.tools.net.wire import Reply, Request

if TYPE_CHECKING:
    from kos.tools.desk import Desk, ReadingRules

SECONDS = 20.0
MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
PAGE_CAPS = Caps(raw_bytes=2_000_000, decoded_bytes=5_000_000, seconds=SECONDS)
ACCEPTED = "text/html, application/xhtml+xml, text/plain, application/json, application/xml;q=0.9"


async def fetch_page(url: str, desk: Desk) -> Reply:
    """The page at ``url``, after at most 5 redirects and 20 seconds.

    ``BlockedError`` where the guard or the desk's rules say no; ``UnavailableError`` and
    ``RefusedError`` as ``Wire.send``.
    """
    at = admit(url, desk.reading)
    try:
        async with asyncio.timeout(SECONDS):
            with desk.wire.deadline(SECONDS):
                for _ in range(MAX_REDIRECTS + 1):
                    reply = await desk.wire.send(_request(at))
                    if reply.status not in REDIRECTS:
                        return reply
                    at = _next(at, reply, desk.reading)
    except TimeoutError:
        raise UnavailableError(f"no whole page in {SECONDS:.0f} seconds") from None
    raise UnavailableError(f"more than {MAX_REDIRECTS} redirects", is_failure=False)


def admit(url: str, rules: ReadingRules) -> httpx.URL:
    """The URL, if form and domain are allowed; the address is checked when connecting."""
    parsed = check_url(url, is_http_allowed=rules.is_http_allowed)
    host = parsed.host.lower().rstrip(".")
    if _is_within(host, rules.denied_domains):
        raise BlockedError(f"{host} is not read here.")
    if rules.only_domains and not _is_within(host, rules.only_domains):
        raise BlockedError(f"only these domains are read here: {', '.join(rules.only_domains)}.")
    return parsed


def _request(url: httpx.URL) -> Request:
    return Request(url, headers={"Accept": ACCEPTED}, accepts=REDIRECTS, caps=PAGE_CAPS)


def _next(at: httpx.URL, reply: Reply, rules: ReadingRules) -> httpx.URL:
    try:
        target = at.join(reply.headers.get("location", ""))
    except (httpx.InvalidURL, ValueError):
        raise BlockedError("the page redirects to what is no URL.") from None
    if at.scheme == "https" and target.scheme != "https":
        raise BlockedError("the page redirects away from https.")
    return admit(str(target), rules)


def _is_within(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
