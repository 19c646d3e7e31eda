"""The sorts of public files that can be imported, by name."""

from __future__ import annotations

from collections.abc import Mapping

from kos.tools.corpus.imports import (
    ctgov,
    dailymed,
    icd10cm,
    icd11,
    medlineplus,
    medquad,
    openfda,
    pubmed,
)
from kos.tools.corpus.imports.ledger import Source

SOURCES: Mapping[str, Source] = {
    source.collection.name: source
    for source in (
        icd10cm.SOURCE,
        icd11.SOURCE,
        medlineplus.SOURCE,
        openfda.SOURCE,
        dailymed.SOURCE,
        pubmed.SOURCE,
        ctgov.SOURCE,
        medquad.SOURCE,
    )
}
