"""One request, asked politely: rate limit, guard, bounded body, retries, sentences for failures.

What a process shares lives on its ``Wire``: buckets, breakers and calls in flight. Connections
are not shared: event loops come and go, and a keep-alive connection outlives its own badly.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx

from kos.chat.neutralise import neutralise
from kos.tools.net.bodies import MB, Caps, read_body
from kos.tools.net.breaker import Breakers
from kos.tools.net.failures import RefusedError, UnavailableError
from kos.tools.net.flight import Flights
from kos.tools.net.guard import guarded_transport
from kos.tools.net.limits import OTHERS, RATES, Buckets, Rate
from kos.tools.net.redaction import redact, redact_logs

USER_AGENT = "Kos/0.1 (clinical research console)"
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 8.0
NUM_RETRIES = 2
RETRIED = (408, 429, 502, 503, 504)
# No key, no credit, not for us, plan used up (Tavily's own): not the source's failure.
KEY_REFUSED = (401, 402, 403, 432, 433)
MAX_RETRY_SECONDS = 10.0
BACKOFF_SECONDS = 0.5
API_CAPS = Caps(raw_bytes=5 * MB, decoded_bytes=15 * MB)
_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


@dataclass(frozen=True)
class Request:
    """What to ask. ``secrets`` are the keys in it, to be kept out of every message.

    ``accepts`` are statuses of 400 and above that the caller reads itself (openFDA's 404 means
    no hits). ``allowed`` has the operator's "host:port" that may be private. ``lane`` parts the
    rate limit of those who bring their own key.
    """

    url: str | httpx.URL
    params: Mapping[str, str | int] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: Literal["GET", "POST"] = "GET"
    json: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    accepts: tuple[int, ...] = ()
    allowed: frozenset[str] = frozenset()
    rate: Rate | None = None
    lane: str = ""
    caps: Caps = API_CAPS


@dataclass(frozen=True)
class Reply:
    """What came back, unpacked."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    url: httpx.URL

    @property
    def text(self) -> str:
        """The body in the charset its header names, else UTF-8."""
        try:
            return self.content.decode(self.charset or "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    @property
    def charset(self) -> str:
        """The charset the header names, or ""."""
        _, _, charset = self.headers.get("content-type", "").partition("charset=")
        return charset.split(";")[0].strip("\"' ")

    @property
    def content_type(self) -> str:
        """The media type, small letters, without its parameters."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON; ``UnavailableError`` when it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise UnavailableError("the answer is no JSON") from None


@dataclass
class Wire:
    """What all calls of a process share. ``transport`` replaces the network in tests."""

    transport: httpx.AsyncBaseTransport | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
    flights: Flights = field(default_factory=Flights)
    buckets: Buckets = field(init=False)
    breakers: Breakers = field(init=False)

    def __post_init__(self) -> None:
        self.buckets = Buckets(self.clock)
        self.breakers = Breakers(self.clock)
        redact_logs()

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Inside, nothing is waited for that would take longer than ``seconds`` from now."""
        token = _deadline.set(min(_deadline.get(), self.clock() + seconds))
        try:
            yield
        finally:
            _deadline.reset(token)

    async def send(self, request: Request) -> Reply:
        """The reply, if it is one of success or of ``request.accepts``.

        ``UnavailableError`` on time-outs, 408, 429 and 5xx (after two more tries where that may
        help), and on a refused key (401, 403 and their like); ``RefusedError`` on any other 4xx;
        ``BlockedError`` where the guard says no.
        """
        for attempt in range(NUM_RETRIES + 1):
            is_last = attempt == NUM_RETRIES
            try:
                reply = await self.send_once(request)
            except httpx.TimeoutException:
                problem, wait = "no answer in time", self._backoff(attempt)
            else:
                if reply.status not in RETRIED or reply.status in request.accepts:
                    return _accepted(reply, request)
                problem = _sentence(reply, request)
                wait = self._retry_after(reply) or self._backoff(attempt)
            if is_last or not await self._waited(wait):
                break
        raise UnavailableError(problem) from None

    async def send_once(self, request: Request) -> Reply:
        """One try: its reply whatever its status, redirects included.

        Raises httpx's time-outs; ``UnavailableError`` on a lost or refused connection.
        """
        url = httpx.URL(request.url)
        rate = request.rate or RATES.get(url.host, OTHERS)
        wait = self.buckets.reserve(f"{url.host} {request.lane}", rate, within=self._rest())
        if wait is None:
            raise UnavailableError("too many questions at once; its limit leaves no time")
        if wait:
            await self.sleep(wait)
        try:
            async with asyncio.timeout(request.caps.seconds), self._client(request) as client:
                return await _exchange(client, url, request)
        except TimeoutError:
            raise httpx.ReadTimeout("the whole answer took too long") from None
        except httpx.TimeoutException:
            raise
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Not `from error`: its request carries the keys.
            words = redact(str(error) or type(error).__name__, request.secrets)
            raise UnavailableError(f"cannot be reached ({words})") from None

    def _client(self, request: Request) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self.transport or guarded_transport(request.allowed),
            timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
        )

    def _backoff(self, attempt: int) -> float:
        """Full jitter: anywhere between nothing and the doubled pause."""
        return self.random() * BACKOFF_SECONDS * 2.0**attempt

    def _retry_after(self, reply: Reply) -> float:
        told = reply.headers.get("retry-after", "")
        if told.isdigit():
            return min(float(told), MAX_RETRY_SECONDS)
        try:
            seconds = (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
        return min(max(seconds, 0.0), MAX_RETRY_SECONDS)

    async def _waited(self, seconds: float) -> bool:
        if seconds > self._rest():
            return False
        await self.sleep(seconds)
        return True

    def _rest(self) -> float:
        return _deadline.get() - self.clock()


async def _exchange(client: httpx.AsyncClient, url: httpx.URL, request: Request) -> Reply:
    params = {name: str(value) for name, value in request.params.items()}
    sending = client.stream(
        request.method,
        url.copy_merge_params(params) if params else url,
        headers=dict(request.headers),
        json=request.json,
        data=dict(request.form) if request.form is not None else None,
    )
    async with sending as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        content = b"" if response.is_redirect else await read_body(response, request.caps)
        return Reply(response.status_code, headers, content, response.url)


def _accepted(reply: Reply, request: Request) -> Reply:
    if 200 <= reply.status < 300 or reply.status in request.accepts:
        return reply
    sentence = _sentence(reply, request)
    if reply.status in KEY_REFUSED:
        raise UnavailableError(sentence, is_failure=False)
    if 400 <= reply.status < 500:
        raise RefusedError(sentence, status=reply.status)
    raise UnavailableError(sentence)


def _sentence(reply: Reply, request: Request) -> str:
    """The status and the server's own words, on one line, without keys or control tokens."""
    words = neutralise(" ".join(redact(_words(reply), request.secrets).split()))[:200]
    return f"HTTP {reply.status}" + (f", {words}" if words else "")


def _words(reply: Reply) -> str:
    try:
        found = json.loads(reply.content)
    except (ValueError, RecursionError):
        return reply.text if reply.content_type == "text/plain" else ""
    # error: {message}, error: "...", detail: {error}, error: {detail}, message: "..."
    for _ in range(3):
        if not isinstance(found, dict):
            break
        names = ("error", "detail", "message", "errorMessage")
        found = next((found[name] for name in names if found.get(name)), "")
    return found if isinstance(found, str) else ""
