"""No address inside is ever reached, however it is written and whoever points to it."""

from __future__ import annotations

import httpcore
import httpx
import pytest

from kos.tools.net.failures import BlockedError
from kos.tools.net.guard import GuardBackend, check_url, guarded_transport, is_public, vet

PUBLIC = "93.184.216.34"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Backend(httpcore.AsyncMockBackend):
    """Notes where it was told to connect to."""

    def __init__(self, answer: bytes = OK) -> None:
        super().__init__([answer])
        self.connected: list[str] = []

    async def connect_tcp(self, host, port, *args, **kwargs):
        self.connected.append(host)
        return await super().connect_tcp(host, port, *args, **kwargs)


class Resolver:
    """Answers differently each time, as a rebinding name server does."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def client_of(resolver: Resolver, inner: Backend, allowed: frozenset[str] = frozenset()):
    backend = GuardBackend(resolver=resolver, inner=inner, allowed=allowed)
    return httpx.AsyncClient(transport=guarded_transport(backend=backend), trust_env=False)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_a_public_address_may_be_reached(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "100::1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "5f00::1",
        "localhost",
        "127.1",
    ],
)
def test_no_other_address_may(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "https://example.org:8080/",
        "https://example.org:22/",
        "https://example.org\\@127.0.0.1/",
        "https://example.org/a b",
        "https://example.org/\r\nHost: x",
        "https://exa\tmple.org/",
        "https:///path",
        "//example.org/",
        "example.org",
        "https://[::1/",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_a_url_that_breaks_the_rules_is_not_read(url):
    with pytest.raises(BlockedError):
        check_url(url)


def test_plain_http_is_read_where_the_setting_allows_it():
    assert check_url("http://example.org/", is_http_allowed=True).host == "example.org"
    assert check_url("https://example.org:443/a?b=c").path == "/a"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "017700000001",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "①②⑦.0.0.1",
        "0",
        "[fe80::1]",
        "127.0.0.1.",
        "localhost.",
        "LOCALHOST",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "[::ffff:0:127.0.0.1]",
        "[::127.0.0.1]",
        "[fd00:ec2::254]",
    ],
)
async def test_every_spelling_of_an_inner_address_is_blocked_when_connecting(host):
    inner = Backend()
    transport = guarded_transport(backend=GuardBackend(inner=inner))
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        with pytest.raises((BlockedError, httpx.ConnectError, httpx.InvalidURL)):
            await client.get(f"https://{host}/")
    assert inner.connected == []


async def test_httpx_still_goes_through_the_guard():
    resolver = Resolver([PUBLIC])
    async with client_of(resolver, Backend()) as client:
        assert (await client.get("https://example.org/")).text == "ok"
    assert resolver.asked == ["example.org"]


async def test_the_plain_guarded_transport_blocks_this_machine():
    async with httpx.AsyncClient(transport=guarded_transport(), trust_env=False) as client:
        with pytest.raises(BlockedError, match="not public"):
            await client.get("http://127.0.0.1/")


async def test_the_connection_goes_to_the_address_that_was_vetted():
    inner = Backend()
    async with client_of(Resolver([PUBLIC]), inner) as client:
        await client.get("https://example.org/")
    assert inner.connected == [PUBLIC]


async def test_a_name_that_rebinds_to_an_inner_address_is_blocked_the_second_time():
    resolver, inner = (
        Resolver([PUBLIC], ["127.0.0.1"]),
        Backend(OK.replace(b"\r\n\r", b"\r\nConnection: close\r\n\r")),
    )
    async with client_of(resolver, inner) as client:
        await client.get("https://rebind.example/")
        with pytest.raises(BlockedError):
            await client.get("https://rebind.example/")
    assert inner.connected == [PUBLIC]


async def test_one_inner_address_among_public_ones_blocks_the_name():
    with pytest.raises(BlockedError):
        await vet("mixed.example", 443, resolver=Resolver([PUBLIC, "10.0.0.1"]))


async def test_the_next_address_is_tried_when_one_refuses():
    class Half(Backend):
        async def connect_tcp(self, host, port, *args, **kwargs):
            stream = await super().connect_tcp(host, port, *args, **kwargs)
            if host == PUBLIC:
                raise httpcore.ConnectError("refused")
            return stream

    inner = Half()
    async with client_of(Resolver([PUBLIC, "8.8.8.8"]), inner) as client:
        await client.get("https://example.org/")
    assert inner.connected == [PUBLIC, "8.8.8.8"]


async def test_other_ports_are_closed_but_for_what_the_operator_lists():
    with pytest.raises(BlockedError, match="port 8080"):
        await vet("searx.local", 8080, resolver=Resolver(["10.0.0.7"]))
    allowed = frozenset({"searx.local:8080"})
    found = await vet("searx.local", 8080, allowed=allowed, resolver=Resolver(["10.0.0.7"]))
    assert found == ["10.0.0.7"]
    with pytest.raises(BlockedError):
        await vet("searx.local", 443, allowed=allowed, resolver=Resolver(["10.0.0.7"]))


async def test_local_sockets_are_closed():
    with pytest.raises(BlockedError):
        await GuardBackend().connect_unix_socket("/run/docker.sock")


async def test_a_name_without_an_address_cannot_be_connected_to():
    async with client_of(Resolver([]), Backend()) as client:
        with pytest.raises(httpx.ConnectError, match="does not resolve"):
            await client.get("https://nowhere.example/")
