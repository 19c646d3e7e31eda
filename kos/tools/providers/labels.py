"""A drug label from openFDA's JSON or DailyMed's XML, in the sections that the tool declares.

Which of several labels is meant: the exact generic, prescription before over the counter, one
ingredient before a combination, then the newest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from kos.tools.base import Provenance, Record
from kos.tools.providers.base import plain

SECTIONS = (
    "boxed_warning",
    "indications",
    "dosage",
    "contraindications",
    "warnings",
    "interactions",
    "adverse_reactions",
    "pregnancy",
    "lactation",
    "pediatric",
    "geriatric",
    "renal",
    "hepatic",
    "overdose",
)
# openFDA's fields for each section; all that are there are joined.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "boxed_warning": ("boxed_warning",),
    "indications": ("indications_and_usage", "purpose"),
    "dosage": ("dosage_and_administration",),
    "contraindications": ("contraindications", "do_not_use"),
    "warnings": (
        "warnings_and_cautions",
        "warnings",
        "ask_doctor",
        "stop_use",
    ),
    "interactions": ("drug_interactions", "ask_doctor_or_pharmacist"),
    "adverse_reactions": ("adverse_reactions",),
    "pregnancy": ("pregnancy", "pregnancy_or_breast_feeding"),
    "lactation": ("lactation", "nursing_mothers", "pregnancy_or_breast_feeding"),
    "pediatric": ("pediatric_use",),
    "geriatric": ("geriatric_use",),
    "overdose": ("overdosage",),
}
# Sections with what a label says of kidney and liver, and of pregnancy where it has no own.
BROAD_FIELDS = (
    "use_in_specific_populations",
    "dosage_and_administration",
    "clinical_pharmacology",
)
LOINC: Mapping[str, tuple[str, ...]] = {
    "boxed_warning": ("34066-1",),
    "indications": ("34067-9",),
    "dosage": ("34068-7",),
    "contraindications": ("34070-3",),
    "warnings": ("43685-7", "34071-1"),
    "interactions": ("34073-7",),
    "adverse_reactions": ("34084-4",),
    "pregnancy": ("42228-7",),
    "lactation": ("77290-5", "34080-2"),
    "pediatric": ("34081-0",),
    "geriatric": ("34082-8",),
    "overdose": ("34088-5",),
}
BROAD_LOINC = ("43684-0", "34068-7", "34090-1")
ORGANS = {
    "renal": re.compile(r"renal|kidney|\bCrCl\b|creatinine clearance|\beGFR\b|dialysis", re.I),
    "hepatic": re.compile(r"hepatic|\bliver\b|Child-Pugh|cirrho", re.I),
}
MAX_ORGAN_CHARS = 4000
NAMESPACE = "{urn:hl7-org:v3}"
_SENTENCE = re.compile(r"(?<=[.;])\s+(?=[A-Z0-9(])")


@dataclass(frozen=True)
class Label:
    """One label. ``effective`` is ISO 8601 or ""; ``sections`` are keyed as ``SECTIONS``."""

    set_id: str
    title: str
    generics: tuple[str, ...]
    brands: tuple[str, ...]
    effective: str
    is_prescription: bool
    sections: Mapping[str, str] = field(default_factory=dict)
    maker: str = ""

    @property
    def url(self) -> str:
        """Its page at DailyMed, where every label lies."""
        return f"https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid={self.set_id}"


def from_openfda(found: Mapping[str, Any]) -> Label:
    """One result of openFDA. ``openfda`` may be empty (over the counter, unapproved)."""
    about: Mapping[str, Any] = found.get("openfda") or {}
    generics = tuple(_lower(about.get("generic_name") or about.get("substance_name")))
    brands = tuple(about.get("brand_name") or ())
    elements = plain(
        " ".join(found.get("spl_product_data_elements") or found.get("active_ingredient") or ())
    )
    heading = brands[0] if brands else (elements[:80] or "Label without a name")
    if generics and generics[0] != heading.lower():
        heading = f"{heading} ({generics[0]})"
    kind = " ".join(about.get("product_type") or ())
    return Label(
        set_id=str(found.get("set_id") or ""),
        title=heading,
        generics=generics or ((elements.lower(),) if elements else ()),
        brands=brands,
        effective=_date(str(found.get("effective_time") or "")),
        is_prescription="PRESCRIPTION" in kind,
        sections=_openfda_sections(found),
        maker=", ".join(about.get("manufacturer_name") or ()),
    )


def from_spl(root: Element) -> Label:
    """A structured product label of DailyMed."""
    sections = {
        _code(section): section for section in reversed([*root.iter(f"{NAMESPACE}section")])
    }
    found = {
        name: text
        for name, codes in LOINC.items()
        if (text := "\n".join(_text(sections[code]) for code in codes if code in sections))
    }
    broad = [
        part for code in BROAD_LOINC if code in sections for part in _paragraphs(sections[code])
    ]
    generics = [
        _squeeze(one) for one in root.iterfind(f".//{NAMESPACE}genericMedicine/{NAMESPACE}name")
    ]
    products = root.iterfind(f".//{NAMESPACE}manufacturedProduct//{NAMESPACE}name")
    title = _squeeze(root.find(f"{NAMESPACE}title"))
    kind = root.find(f"{NAMESPACE}code")
    return Label(
        set_id=_attribute(root, "setId", "root"),
        title=title[:200] or "Label without a title",
        generics=tuple(dict.fromkeys(_lower(generics))) or _in_brackets(title),
        brands=tuple(dict.fromkeys(_squeeze(one) for one in products)) or (title.split(" (")[0],),
        effective=_date(_attribute(root, "effectiveTime", "value")),
        is_prescription="PRESCRIPTION"
        in (kind.get("displayName") or "" if kind is not None else ""),
        sections=_ordered(found | organs_in(broad)),
        maker=_squeeze(root.find(f".//{NAMESPACE}representedOrganization/{NAMESPACE}name")),
    )


def choose(labels: Iterable[Label], *, generic: str, asked: str) -> list[Label]:
    """The labels, the one that is meant first."""
    newest = sorted(labels, key=lambda label: label.effective, reverse=True)
    return sorted(newest, key=lambda label: _distance(label, generic.lower(), asked.lower()))


def record_of(
    label: Label, provenance: Provenance, *, wanted: Sequence[str] = (), lines: Sequence[str] = ()
) -> Record:
    """The label as the model reads it: the ``wanted`` sections, or all; ``lines`` go before."""
    shown = {name: label.sections[name] for name in wanted or SECTIONS if name in label.sections}
    missing = [name for name in wanted if name not in label.sections]
    head = [*lines]
    if label.maker:
        head.append(
            f"Label of {label.maker}" + (f", {label.effective}" if label.effective else "")
        )
    if missing:
        head.append(f"Not on this label: {', '.join(missing)}.")
    parts = ["\n".join(head), *(f"## {name}\n{text}" for name, text in shown.items())]
    return Record(
        title=f"{label.title}: drug label",
        url=label.url,
        text="\n\n".join(part for part in parts if part),
        provenance=provenance,
        sections=shown,
    )


def organs_in(paragraphs: Iterable[str]) -> dict[str, str]:
    """What is said of kidney and liver, by section name; whole sentences, at most 4,000 characters."""
    sentences = [one for text in paragraphs for one in _SENTENCE.split(text)]
    found = {}
    for name, pattern in ORGANS.items():
        chosen = dict.fromkeys(one.strip() for one in sentences if pattern.search(one))
        if chosen:
            found[name] = " ".join(chosen)[:MAX_ORGAN_CHARS]
    return found


def _openfda_sections(found: Mapping[str, Any]) -> dict[str, str]:
    sections = {}
    for name, fields in FIELDS.items():
        texts = [plain(" ".join(found[field])) for field in fields if found.get(field)]
        if texts:
            sections[name] = "\n".join(dict.fromkeys(texts))
    broad = [plain(" ".join(found[field])) for field in BROAD_FIELDS if found.get(field)]
    return _ordered(sections | organs_in(broad))


def _ordered(sections: Mapping[str, str]) -> dict[str, str]:
    return {name: sections[name] for name in SECTIONS if sections.get(name)}


def _distance(label: Label, generic: str, asked: str) -> tuple[bool, bool, bool, int]:
    names = {_base(name) for name in (*label.generics, *(brand.lower() for brand in label.brands))}
    is_exact = bool({_base(generic), _base(asked)} & names)
    text = " ".join(label.generics)
    ingredients = max(len(label.generics), 1 + len(re.findall(r",| and |;", text)))
    return not is_exact, not label.is_prescription, ingredients > 1, ingredients


def _base(name: str) -> str:
    """The name without the salt: the first word of what stands before a comma."""
    return name.split(",")[0].strip().split(" ")[0]


def _lower(values: Any) -> list[str]:
    return [str(value).lower() for value in values or ()]


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if re.fullmatch(r"\d{8}.*", text) else ""


def _code(section: Element) -> str:
    code = section.find(f"{NAMESPACE}code")
    return "" if code is None else code.get("code") or ""


def _attribute(root: Element, tag: str, name: str) -> str:
    found = root.find(f"{NAMESPACE}{tag}")
    return "" if found is None else found.get(name) or ""


def _in_brackets(title: str) -> tuple[str, ...]:
    found = re.search(r"\(([^)]+)\)", title)
    return (found.group(1).lower(),) if found else ()


def _text(section: Element) -> str:
    """All text of a section and those in it, a line each for titles and paragraphs."""
    return "\n".join(_paragraphs(section))


def _paragraphs(section: Element) -> list[str]:
    found = []
    for part in section.iter():
        if part.tag == f"{NAMESPACE}title" or part.tag == f"{NAMESPACE}text":
            text = _squeeze(part)
            if text:
                found.append(text)
    return found


def _squeeze(element: Element | None) -> str:
    return "" if element is None else " ".join(" ".join(element.itertext()).split())
