"""RxNorm: which drug a name means. It gives no text of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

from kos.tools.corpus.index import Corpus
from kos.tools.desk import Desk
from kos.tools.net.failures import RefusedError, UnavailableError
from kos.tools.net.wire import Request

URL = "https://rxnav.nlm.nih.gov/REST"
# RxNorm finds something near any word; below this score it is a guess.
MIN_SCORE = 5.0


class Concept(NamedTuple):
    """A drug's ingredient name, its RxNorm number ("" when unknown) and how that was found."""

    name: str
    rxcui: str
    line: str


async def resolve(drug: str, desk: Desk) -> Concept:
    """What ``drug`` means: RxNorm by name, then by spelling; where it is out, the normaliser here."""
    try:
        return await _ask(drug, desk) or _normalise(drug, desk)
    except (UnavailableError, RefusedError):
        return _normalise(drug, desk)


async def _ask(drug: str, desk: Desk) -> Concept | None:
    found = await _get("rxcui.json", desk, name=drug, search=2)
    numbers = found.get("idGroup", {}).get("rxnormId") or []
    how = "RxNorm"
    if not numbers:
        found = await _get("approximateTerm.json", desk, term=drug, maxEntries=4, option=1)
        candidates = found.get("approximateGroup", {}).get("candidate") or []
        near = [one for one in candidates if one.get("name") and float(one["score"]) >= MIN_SCORE]
        if not near:
            return None
        numbers, how = [near[0]["rxcui"]], "RxNorm by spelling"
    name = await _ingredient(numbers[0], desk)
    line = f"{how}: {drug} is {name} (RxCUI {numbers[0]})." if name else ""
    return Concept(name, numbers[0], line) if name else None


async def _ingredient(rxcui: str, desk: Desk) -> str:
    """The ingredient of a brand or product; of an ingredient, its own name."""
    found = await _get(f"rxcui/{rxcui}/properties.json", desk)
    properties = found.get("properties") or {}
    if properties.get("tty") in ("IN", "MIN"):
        return str(properties["name"]).lower()
    found = await _get(f"rxcui/{rxcui}/related.json", desk, tty="IN MIN")
    groups = found.get("relatedGroup", {}).get("conceptGroup") or []
    concepts = {group["tty"]: group.get("conceptProperties") or [] for group in groups}
    for tty in ("MIN", "IN"):
        names = [str(one["name"]).lower() for one in concepts.get(tty, [])]
        if names:
            return names[0] if tty == "MIN" else " and ".join(names)
    return str(properties.get("name") or "").lower()


async def _get(path: str, desk: Desk, **params: str | int) -> dict[str, Any]:
    reply = await desk.wire.send(Request(f"{URL}/{path}", params=params))
    found: dict[str, Any] = reply.json()
    return found


def _normalise(drug: str, desk: Desk) -> Concept:
    known = desk.corpus.drug(drug) if isinstance(desk.corpus, Corpus) else None
    if known is None:
        return Concept(drug.lower(), "", "")
    line = f"Embedded drug names: {drug} is {known.generic}." if known.is_renamed else ""
    return Concept(known.generic, "", line)
