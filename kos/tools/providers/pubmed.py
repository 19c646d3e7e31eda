"""PubMed through NCBI's E-utilities: esearch for the numbers, efetch for the abstracts.

NCBI wants to know who asks (``tool`` and the option ``email``), and reports errors inside
HTTP 200. A query without hits is loosened step by step, never further than it must be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from kos.tools.base import Provenance, Record
from kos.tools.desk import READY, Desk, Readiness
from kos.tools.net.failures import UnavailableError
from kos.tools.net.limits import NCBI_WITH_KEY
from kos.tools.net.wire import Reply, Request
from kos.tools.providers.base import NLM_ATTRIBUTION, LiveSource
from kos.tools.registry import provide

URL = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
TOOL = "kos"
TYPES: Mapping[str, str] = {
    "review": "review[pt]",
    "meta_analysis": "meta-analysis[pt]",
    "randomized_controlled_trial": "randomized controlled trial[pt]",
    "practice_guideline": "practice guideline[pt]",
}
SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "of",
        "on",
        "or",
        "the",
        "to",
        "versus",
        "vs",
        "with",
    ]
)
_TERM = re.compile(r'"[^"]+"(?:\[[^\]]*\])?|[^\s"]+')
_WRITTEN_OUT = re.compile(r"\[[a-z /:]+\]|\b(?:AND|OR|NOT)\b|\"", re.IGNORECASE)


@provide
class PubMed(LiveSource):
    """PubMed."""

    tool = "search_pubmed"
    name = "pubmed"
    title = "PubMed"
    version = "eutils"
    licence = "citations free to use; abstracts may be under their publishers' copyright"
    attribution = NLM_ATTRIBUTION

    def ready(self, desk: Desk) -> Readiness:
        """NCBI asks every caller for an address to write to."""
        return READY if desk.options.get("email") else Readiness(False, "no contact e-mail")

    async def search(self, arguments: Mapping[str, Any], desk: Desk) -> tuple[Record, ...]:
        """The articles of the strictest query that has any."""
        numbers = await self._numbers(arguments, desk)
        if not numbers:
            return ()
        asked: dict[str, str | int] = {
            "id": ",".join(numbers),
            "retmode": "xml",
            "rettype": "abstract",
        }
        reply = await self._get("efetch", asked, desk)
        articles = {number_of(article): article for article in articles_in(reply.content)}
        return tuple(
            record_of(articles[number], self.provenance(link_of(number)))
            for number in numbers
            if number in articles
        )

    async def _numbers(self, arguments: Mapping[str, Any], desk: Desk) -> list[str]:
        limits = ["hasabstract", *filter(None, [TYPES.get(arguments.get("publication_type", ""))])]
        tail = "".join(f" AND ({limit})" if "[" in limit else f" AND {limit}" for limit in limits)
        wanted = arguments.get("max_results", 5)
        tried = set()
        for query in strict_first(arguments["query"]):
            tried.add(query)
            found = await self._esearch(f"({query}){tail}", desk, retmax=wanted)
            if found["idlist"]:
                return list(found["idlist"])
        query = await self._rarest(arguments["query"], desk)
        if not query or query in tried:
            return []
        return list((await self._esearch(f"({query}){tail}", desk, retmax=wanted))["idlist"])

    async def _rarest(self, query: str, desk: Desk) -> str:
        """The two terms with the fewest articles, either of them."""
        counts = {}
        for term in terms_of(query):
            found = await self._esearch(term, desk, retmax=0)
            counts[term] = int(found.get("count") or 0)
        known = sorted((count, term) for term, count in counts.items() if count)
        return " OR ".join(term for _, term in known[:2])

    async def _esearch(self, term: str, desk: Desk, *, retmax: int) -> dict[str, Any]:
        asked: dict[str, str | int] = {
            "term": term,
            "retmode": "json",
            "retmax": retmax,
            "sort": "relevance",
        }
        found = (await self._get("esearch", asked, desk)).json()
        result = found.get("esearchresult")
        error = found.get("error") or (result or {}).get("ERROR")
        if error or not isinstance(result, dict):
            raise UnavailableError(f"error inside HTTP 200, {str(error)[:200]}")
        return {"idlist": []} | result

    async def _get(self, call: str, asked: Mapping[str, str | int], desk: Desk) -> Reply:
        key = desk.keys.get("ncbi", "")
        params: dict[str, str | int] = {"db": "pubmed", **asked, "tool": TOOL}
        params |= {"email": desk.options["email"]} | ({"api_key": key} if key else {})
        return await desk.wire.send(
            Request(
                f"{URL}/{call}.fcgi",
                params=params,
                secrets=(key,) if key else (),
                rate=NCBI_WITH_KEY if key else None,
                lane=desk.owner if key else "",
            )
        )


def terms_of(query: str) -> list[str]:
    """The words and quoted phrases of a query, small words left out."""
    terms = [term for term in _TERM.findall(query) if term.lower() not in SMALL_WORDS]
    return list(dict.fromkeys(terms))


def strict_first(query: str) -> Iterator[str]:
    """The query as a phrase, then all its terms, then all but the last; no step twice."""
    terms = terms_of(query)
    if _WRITTEN_OUT.search(query):  # it was written for PubMed: as it stands
        steps = [query]
    else:
        phrase = " ".join(query.split())
        steps = [f'"{phrase}"' if " " in phrase else phrase, " AND ".join(terms)]
        steps += [" AND ".join(terms[:-1])] if len(terms) > 2 else []
    yield from dict.fromkeys(step for step in steps if step)


def articles_in(xml: bytes) -> list[Element]:
    """The articles and book chapters of a PubmedArticleSet."""
    try:
        root: Element = fromstring(xml)
    except (ParseError, DefusedXmlException) as error:
        raise UnavailableError("its article list is broken XML") from error
    return [*root.iter("PubmedArticle"), *root.iter("PubmedBookArticle")]


def number_of(article: Element) -> str:
    """Its PubMed number."""
    return _text(article.find(".//PMID"))


def link_of(number: str) -> str:
    """Its page."""
    return f"https://pubmed.ncbi.nlm.nih.gov/{number}/"


def record_of(article: Element, provenance: Provenance) -> Record:
    """One article as the model reads it: where it appeared, then its abstract."""
    number = number_of(article)
    title = _text(article.find(".//ArticleTitle")) or _text(article.find(".//BookTitle"))
    types = [_text(found) for found in article.iter("PublicationType")]
    is_retracted = any("retracted publication" in found.lower() for found in types)
    abstract = _abstract(article)
    about = {
        "Authors": _authors([*article.iter("Author")]),
        "Journal": _journal(article),
        "Type": ", ".join(types),
        "DOI": _text(article.find(".//ArticleId[@IdType='doi']")),
        "PMID": number,
    }
    sections = {name: text for name, text in about.items() if text} | abstract
    return Record(
        title=("RETRACTED: " if is_retracted else "") + title,
        url=link_of(number),
        text="\n".join(f"{name}: {text}" for name, text in sections.items()),
        provenance=provenance,
        sections=sections,
    )


def _abstract(article: Element) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in article.iterfind(".//Abstract/AbstractText"):
        label = (part.get("Label") or "Abstract").capitalize()
        parts[label] = f"{parts[label]} {_text(part)}" if label in parts else _text(part)
    return parts


def _authors(authors: Sequence[Element]) -> str:
    names = []
    for author in authors:
        name = f"{_text(author.find('LastName'))} {_text(author.find('Initials'))}".strip()
        names.append(name or _text(author.find("CollectiveName")))
    return ", ".join(names[:6]) + (" et al." if len(names) > 6 else "")


def _journal(article: Element) -> str:
    name = _text(article.find(".//ISOAbbreviation")) or _text(article.find(".//Journal/Title"))
    date = article.find(".//JournalIssue/PubDate")
    parts = [] if date is None else [_text(part) for part in date]
    volume, issue = _text(article.find(".//Volume")), _text(article.find(".//Issue"))
    place = f"{volume}({issue})" if issue else volume
    pages = _text(article.find(".//MedlinePgn"))
    told = [name, " ".join(parts), f"{place}:{pages}" if pages else place]
    return ". ".join(part for part in told if part)


def _text(element: Element | None) -> str:
    """All text below, that of inline markup too."""
    return "" if element is None else " ".join("".join(element.itertext()).split())
