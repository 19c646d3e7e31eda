"""One HTTP connection to Kos: signed in, patient, and never doing a thing twice."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from kos.client import errors

AGENT = "kos-client/1"
TRIES = 6
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 30.0
# What passes by itself. 501 and 500 would say the same again.
PASSING = (429, 502, 503, 504)
PAGE = 200


class Wire:
    """Sends calls and reads their answers; every failure is a ``KosError``.

    What fails in transit, and what Kos asks to send later (429, 503), is sent again up to
    ``tries`` times, with the same key; any other refusal is final. ``transport`` and ``sleep`` are for tests.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_seconds: float = 60.0,
        tries: int = TRIES,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self.tries = max(1, tries)
        self.sleep = sleep
        headers = {"User-Agent": AGENT, "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=timeout_seconds, transport=transport
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """The JSON at ``path``; parameters that are None are left out."""
        return read(self.send("GET", path, params=params))

    def pages(
        self, path: str, *, limit: int | None = None, most: int = PAGE, **params: Any
    ) -> Iterator[Any]:
        """Every item of a list, fetched ``most`` at a time as they are wanted; at most ``limit``."""
        cursor, left = None, limit
        while left is None or left > 0:
            size = most if left is None else min(left, most)
            page = self.get(path, **params, limit=size, cursor=cursor)
            items = page["items"]
            yield from items[:left]
            cursor = page["next"]
            if cursor is None:
                return
            left = None if left is None else left - len(items)

    def post(self, path: str, body: Any = None, *, key: str = "", **params: Any) -> Any:
        """Do something, once: the key is made here unless the caller has one."""
        return read(self.send("POST", path, json=body, params=params, key=key or new_key()))

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        files: Mapping[str, Path] | None = None,
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The whole answer to one call, sent again while that may help."""
        # Without a key a POST that got lost may have been done all the same.
        is_repeatable = method != "POST" or bool(key)
        sent = dict(headers or {}) | ({"Idempotency-Key": key} if key else {})
        for number in range(1, self.tries + 1):
            try:
                with ExitStack() as opened:
                    response = self._http.request(
                        method,
                        path,
                        params=given(params),
                        json=json,
                        data=dict(form) if form is not None else None,
                        files=_open(files, opened),
                        headers=sent,
                    )
            except httpx.TransportError as error:
                if number == self.tries or not (is_repeatable or is_unsent(error)):
                    raise self.unreachable(error) from error
                self.sleep(pause(number))
                continue
            if response.is_success:
                return response
            if number == self.tries or not _may_pass(response, number):
                raise errors.of_response(response)
            self.sleep(retry_after(response) or pause(number))
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> Iterator[httpx.Response]:
        """An answer that is read as it comes, asked for once. Raises KosError for a refusal.

        httpx's TransportError goes through: who reads on knows what was lost.
        """
        options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        with self._http.stream(
            method, path, json=json, params=given(params), headers=dict(headers or {}), **options
        ) as response:
            if not response.is_success:
                response.read()
                raise errors.of_response(response)
            yield response

    def unreachable(self, error: httpx.TransportError) -> errors.UnreachableError:
        """The sentence for no answer at all."""
        said = str(error) or type(error).__name__
        return errors.UnreachableError(f"{self.url} does not answer", f"{self.url}: {said}")


def new_key() -> str:
    """A key under which Kos does a thing once."""
    return uuid.uuid4().hex


def read(response: httpx.Response) -> Any:
    """The JSON of an answer; None of an empty one."""
    if response.status_code == 204 or not response.content:
        return None
    try:
        return json.loads(response.content)
    except ValueError as error:
        url = response.request.url
        raise errors.KosError(
            0, "No answer of Kos", f"what answers at {url.host} is not Kos's API"
        ) from error


def given(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameters that are not None; booleans in JSON's words."""
    found = {name: value for name, value in (params or {}).items() if value is not None}
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in found.items()
    }


def pause(number: int) -> float:
    """Seconds before try ``number`` + 1: doubled each time, with a random part."""
    seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (number - 1))
    return float(seconds * random.uniform(0.5, 1.0))  # noqa: S311 (spreads callers, hides nothing)


def retry_after(response: httpx.Response) -> float | None:
    """What ``Retry-After`` asks for, in seconds or as a date; None where it is not said."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def is_unsent(error: httpx.TransportError) -> bool:
    """Whether the call never left: nobody was there to take it."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _may_pass(response: httpx.Response, number: int) -> bool:
    wait = retry_after(response)
    if wait is not None and wait > LONGEST_WAIT_SECONDS:
        return False  # a quota of the day: the caller should hear of it now
    if response.status_code in PASSING:
        return True
    # Our own first try is still at work under this key.
    return response.status_code == 409 and wait is not None and number > 1


def _open(files: Mapping[str, Path] | None, opened: ExitStack) -> dict[str, Any] | None:
    if files is None:
        return None
    return {
        name: (path.name, opened.enter_context(path.open("rb"))) for name, path in files.items()
    }
