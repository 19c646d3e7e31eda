"""What a call may use: keys, sources on line and off, and what the conversation has seen.

Whoever opens a desk (the console, a job, a test) decides what stands on it. One desk may serve
many conversations through ``for_conversation``; what they share is the wire, the cache and the
corpus, never what they have read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol

import httpx

from kos.messages import Source
from kos.tools.base import Record
from kos.tools.net.cache import MemoryCache
from kos.tools.net.wire import Wire

# The order in which sources are asked. "embedded" is what lies on this machine.
CHAINS: Mapping[str, tuple[str, ...]] = {
    "web_search": ("brave", "tavily", "exa", "searxng", "embedded"),
    "search_triage_guideline": ("medlineplus", "nhs", "embedded"),
    "search_drug_label": ("openfda", "dailymed", "embedded"),
    "search_pubmed": ("pubmed", "embedded"),
    "search_clinical_trials": ("ctgov", "embedded"),
    "search_icd": ("who_icd", "clinicaltables", "embedded"),
}
MAX_FETCHES = 8
_URL = re.compile(r"https?://[^\s<>\"'`|\\^{}\x00-\x20]+", re.IGNORECASE)


class Readiness(NamedTuple):
    """Whether a source can be asked; ``reason`` says in a few words why not ("no key")."""

    is_ready: bool
    reason: str = ""


READY = Readiness(True)


class Cache(Protocol):
    """Answers kept for a while. Keys are 64 hex digits, values plain JSON."""

    async def get(self, key: str) -> dict[str, Any] | None:
        """What was put there, unless its time is over."""

    async def put(self, key: str, value: dict[str, Any], seconds: float) -> None:
        """Keep ``value`` for ``seconds``."""


class Corpus(Protocol):
    """The records on this machine, by kind: "icd", "guideline", "drug", "pubmed", "trial"."""

    def search(self, kind: str, query: str, k: int) -> list[Record]:
        """The best ``k`` hits, best first; the kind "" stands for all kinds."""

    def find(self, url: str) -> Record | None:
        """The record at ``url``, which may be ``kos://doc/<id>``."""

    def kinds(self) -> Mapping[str, int]:
        """How many records there are of each kind."""


class NoCorpus:
    """Nothing on this machine."""

    def search(self, kind: str, query: str, k: int) -> list[Record]:
        """Nothing."""
        return []

    def find(self, url: str) -> Record | None:
        """Nothing."""
        return None

    def kinds(self) -> Mapping[str, int]:
        """None."""
        return {}


class Provider(Protocol):
    """One source of one tool.

    ``name`` is what chains call it by, ``title`` what people do. ``version`` is that of its
    interface: a new one makes what is cached stale. The results of a private source are kept
    for the desk's owner alone.
    """

    tool: str
    name: str
    title: str
    mode: Literal["live", "embedded"]
    version: str
    is_private: bool

    def ready(self, desk: Desk) -> Readiness:
        """Whether it can be asked: key present, data imported."""

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """Look it up. No hits is an answer: ``()``. ``UnavailableError`` passes the question on to
        the next source of the chain; any other ``UserError`` is for the model.
        """


@dataclass(frozen=True)
class ReadingRules:
    """Which pages ``read_url`` may fetch. A domain stands for its subdomains too."""

    is_http_allowed: bool = False
    only_domains: tuple[str, ...] = ()
    denied_domains: tuple[str, ...] = ()
    max_fetches: int = MAX_FETCHES


@dataclass
class Desk:
    """What a call may use.

    ``keys`` are secret, by name: brave, tavily, exa, ncbi, openfda, nhs, who_client_id,
    who_client_secret. ``options`` are not, and are the operator's alone: searxng_url, who_url,
    nhs_url, email (NCBI asks for one). ``owner`` keeps apart what may not be shared.
    ``known_urls`` occur in the user's text or an earlier result of this conversation;
    ``sources`` is what ``kos://doc/S3`` stands for; ``num_fetches`` counts this question's.
    """

    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(CHAINS))
    is_offline: bool = False
    cache: Cache = field(default_factory=MemoryCache)
    corpus: Corpus = field(default_factory=NoCorpus)
    options: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    is_merging_embedded: bool = False
    reading: ReadingRules = ReadingRules()
    wire: Wire = field(default_factory=Wire)
    known_urls: set[str] = field(default_factory=set)
    sources: dict[str, Source] = field(default_factory=dict)
    num_fetches: int = 0

    def for_conversation(self) -> Desk:
        """The same desk with nothing read yet."""
        return replace(self, known_urls=set(), sources={}, num_fetches=0)

    def learn(self, text: str) -> None:
        """Remember the URLs that occur in ``text``: from now on they may be read."""
        self.known_urls |= urls_in(text)

    def knows(self, url: str) -> bool:
        """Whether ``url`` has occurred, up to its fragment and how it spells its host."""
        wanted = canonical(url)
        return wanted is not None and any(canonical(known) == wanted for known in self.known_urls)


def urls_in(text: str) -> set[str]:
    """The http(s) URLs of ``text``, without the punctuation of the sentence around them."""
    return {_trim(match.group()) for match in _URL.finditer(text)}


def canonical(url: str) -> str | None:
    """The URL as it would be asked for, without fragment; None for what is no URL."""
    try:
        return str(httpx.URL(url).copy_with(fragment=None))
    except (httpx.InvalidURL, ValueError):
        return None


def _trim(url: str) -> str:
    while url:
        last = url[-1]
        is_closing = last in ")]" and url.count(last) > url.count({")": "(", "]": "["}[last])
        if last not in ".,;:!?*_" and not is_closing:
            break
        url = url[:-1]
    return url
