"""MCP's HTTP through our own guard.

The ``mcp`` package speaks through httpx2, the guard is a transport of httpx; this hands every
request over, so that one guard stands before every address that is not ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import httpx
import httpx2

from kos.tools.net.failures import BlockedError
from kos.tools.net.guard import check_url, guarded_transport

MAX_BODY_BYTES = 4_000_000
CONNECT_SECONDS = 5.0
# Hop by hop, or undone by the inner client.
_DROPPED = {"content-encoding", "content-length", "transfer-encoding", "connection"}


class Guarded(httpx2.AsyncBaseTransport):
    """Sends every request through ``inner`` and lets at most 4 MB of a reply pass.

    ``allowed`` are the operator's own "host:port" that may be private; their URLs may be plain
    http.
    """

    def __init__(
        self,
        *,
        allowed: frozenset[str] = frozenset(),
        inner: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._allowed = allowed
        self._client = httpx.AsyncClient(
            transport=inner or guarded_transport(allowed),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it; ``httpx2.ConnectError`` where the guard says no."""
        try:
            url = self._check(str(request.url))
            sending = self._client.build_request(
                request.method,
                url,
                headers=[(name, value) for name, value in request.headers.multi_items()],
                content=await request.aread(),
            )
            # One encoding only, and one that the cap below can be counted on.
            sending.headers["Accept-Encoding"] = "identity"
            response = await self._client.send(sending, stream=True)
        except BlockedError as error:
            raise httpx2.ConnectError(str(error), request=request) from None
        except httpx.TimeoutException as error:
            raise httpx2.ReadTimeout(str(error), request=request) from None
        except httpx.HTTPError as error:
            raise httpx2.ConnectError(str(error), request=request) from None
        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name.lower() not in _DROPPED
        ]
        return httpx2.Response(
            response.status_code, headers=headers, stream=_Body(response), request=request
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _check(self, text: str) -> httpx.URL:
        url = httpx.URL(text)
        port = url.port or (443 if url.scheme == "https" else 80)
        if f"{url.host}:{port}".lower() in self._allowed:
            return url
        return check_url(text)


class _Body(httpx2.AsyncByteStream):
    """The reply's bytes as they come, up to the cap."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.DecodingError("the MCP server packs its answers, unasked")
        size = 0
        try:
            async for chunk in self._response.aiter_raw():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise httpx2.ReadError(f"the answer is longer than {MAX_BODY_BYTES} bytes")
                yield chunk
        except httpx.HTTPError as error:
            raise httpx2.ReadError(str(error)) from None

    async def aclose(self) -> None:
        await self._response.aclose()


def guarded_http(
    headers: Mapping[str, str],
    *,
    timeout_seconds: float,
    allowed: frozenset[str] = frozenset(),
    inner: httpx.AsyncBaseTransport | None = None,
) -> httpx2.AsyncClient:
    """An HTTP client for MCP behind the guard; no proxy, no cookies kept between servers."""
    return httpx2.AsyncClient(
        transport=Guarded(allowed=allowed, inner=inner),
        headers=dict(headers),
        timeout=httpx2.Timeout(timeout_seconds),
        trust_env=False,
        follow_redirects=False,
    )
