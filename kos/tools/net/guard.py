"""Which addresses may be reached, decided at the moment of connecting.

A check before the fetch can be fooled: by a name that resolves to another address the second
time, by a redirect, by two parsers that read one URL differently. So the check sits below the
HTTP client, where every connection is opened: the name is resolved once, every address it has
must be public, and the connection goes to that very address. TLS still asks for the name.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpcore
import httpx

from kos.tools.net.failures import BlockedError

PORTS = (80, 443)
DNS_SECONDS = 5.0
MAX_URL_CHARS = 2000
MAX_ADDRESSES = 4
# Python 3.11 calls several of these global: carrier NAT, protocol assignments, 6to4 relays,
# benchmarks, multicast, class E, NAT64, discard, Teredo and its neighbours, 6to4, SRv6 and the
# old site-local addresses. An address inside another one would lead around the check.
SPECIAL = tuple(
    map(
        ip_network,
        (
            "100.64.0.0/10",
            "192.0.0.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/32",
            "2002::/16",
            "5f00::/16",
            "fec0::/10",
        ),
    )
)
_UNSAFE = re.compile(r"[\\\x00-\x20\x7f-\x9f]")
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


def is_public(address: str) -> bool:
    """Whether ``address`` (an IP, with or without a zone) lies in the public internet."""
    try:
        ip: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return (
        ip.is_global
        and not ip.is_multicast
        and not ip.is_reserved
        and not any(ip.version == net.version and ip in net for net in SPECIAL)
    )


def check_url(url: str, *, is_http_allowed: bool = False) -> httpx.URL:
    """The URL, read once; use what is returned and never the text again.

    ``BlockedError`` on another scheme than https (or http where allowed), user names, ports
    other than 80 and 443, backslashes, blanks, control characters, or more than 2,000 characters.
    """
    if len(url) > MAX_URL_CHARS:
        raise BlockedError(f"the URL has {len(url)} characters; at most {MAX_URL_CHARS} will do.")
    if _UNSAFE.search(url):
        raise BlockedError("the URL has a blank, a backslash or a control character in it.")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise BlockedError("this is no URL that can be read. Give a whole https URL.") from None
    schemes = ("https", "http") if is_http_allowed else ("https",)
    if parsed.scheme not in schemes or not parsed.host:
        raise BlockedError(f"only {' and '.join(schemes)} URLs with a host can be read.")
    if parsed.userinfo:
        raise BlockedError("a URL with a user name or password in it is not read.")
    if parsed.port not in (None, *PORTS):
        raise BlockedError(f"port {parsed.port} is not read, only 80 and 443.")
    return parsed


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of ``host``, as the system finds them."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]


async def vet(
    host: str, port: int, *, allowed: Iterable[str] = (), resolver: Resolver = resolve
) -> Sequence[str]:
    """The addresses of ``host`` to connect to. ``allowed`` has the operator's own "host:port".

    ``BlockedError`` when the port or any one address is out of bounds; ``OSError`` when the name
    does not resolve.
    """
    is_allowed = f"{host}:{port}".lower() in allowed
    if port not in PORTS and not is_allowed:
        raise BlockedError(f"port {port} of {host} is not reached, only 80 and 443.")
    async with asyncio.timeout(DNS_SECONDS):
        addresses = list(dict.fromkeys(await resolver(host, port)))
    if not addresses:
        raise OSError(f"{host} has no address")
    if not is_allowed and not all(map(is_public, addresses)):
        raise BlockedError(f"{host} leads to an address that is not public.")
    return addresses[:MAX_ADDRESSES]


class GuardBackend(httpcore.AsyncNetworkBackend):
    """Opens connections, each to an address that ``vet`` let through."""

    def __init__(
        self,
        *,
        allowed: frozenset[str] = frozenset(),
        resolver: Resolver = resolve,
        inner: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of ``host`` that answers."""
        try:
            addresses = await vet(host, port, allowed=self._allowed, resolver=self._resolver)
        except TimeoutError:
            raise httpcore.ConnectTimeout(
                f"{host} was not resolved in {DNS_SECONDS:g} s"
            ) from None
        except OSError:
            raise httpcore.ConnectError(f"{host} does not resolve") from None
        for place, address in enumerate(addresses, start=1):
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(addresses):
                    raise
        raise AssertionError("vet returns at least one address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise BlockedError("local sockets are not reached.")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)


def guarded_transport(
    allowed: frozenset[str] = frozenset(), *, backend: GuardBackend | None = None
) -> httpx.AsyncHTTPTransport:
    """A transport of httpx whose every connection goes through the guard, never a proxy."""
    transport = httpx.AsyncHTTPTransport(retries=0, trust_env=False, verify=_tls())
    # httpx has no public way to give its pool a network backend; tests fail when this one is not
    # called, so a new httpx cannot quietly drop it.
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=_tls(), network_backend=backend or GuardBackend(allowed=allowed)
    )
    return transport


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes 20 ms, so once a process."""
    return httpx.create_ssl_context(trust_env=False)
