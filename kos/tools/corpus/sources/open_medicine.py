"""Guideline digests, symptom differentials, renal doses and citations of open-medicine.

The digests are that project's words on a guideline, not the guideline's own text, and say so.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kos.tools.corpus.sources.package import file_of
from kos.tools.corpus.store import Collection, Doc

DISTRIBUTION = "open-medicine"
ROOT = "open_medicine"
COLLECTION = Collection(
    name="open-medicine",
    title="open-medicine",
    mode="embedded",
    version="0.12.0",
    licence="MIT",
    attribution="open-medicine by Felipe Ramos (MIT), with the DOI of each source.",
    home="https://github.com/RamosFBC/openmedicine",
    note="Digests in that project's words, not the guidelines' own text; look at the cited source.",
)
DIGEST = "A digest by the open-medicine project; the guideline itself is at https://doi.org/{doi}."
LIKELIHOODS = {
    "must_not_miss": "Must not miss",
    "common": "Common",
    "less_common": "Less common",
}
# Names of the package's own functions are no tests that a reader could order.
CALCULATOR = re.compile(r"calculate_\w+")


def read_guidelines() -> Iterator[Doc]:
    """One document for each section of a digest."""
    for entry in _json("guidelines/registry.json"):
        for section in entry["sections"]:
            path = file_of(DISTRIBUTION, f"{ROOT}/guidelines/content/{entry['id']}/{section}.md")
            yield _guideline(entry, section, path.read_text(encoding="utf-8"))


def read_differentials() -> Iterator[Doc]:
    """One document for each symptom: what to think of, red flags first."""
    for path in _paths("mcp/differentials/data", "*.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        yield Doc(
            "differential",
            entry["differential_id"],
            entry["title"],
            _differential(entry),
            terms=tuple(entry["keywords"]),
            notes=f"Source: {entry['source_description']}",
            source_url=_address(entry["source_doi"]),
        )


def read_renal_doses() -> Iterator[Doc]:
    """One document for each drug: its dose by kidney function."""
    for key, entry in _json("mcp/calculators/data/renal_dose_adjustments.json").items():
        name = entry["drug_name"].replace("_", " and ")
        yield Doc(
            "renal",
            key,
            f"{name.capitalize()}: dose by kidney function",
            f"## renal\n{_renal(entry)}",
            terms=(name, *entry["brand_names"]),
            notes=f"Source: {entry['source_description']}",
            source_url=_address(entry["source_doi"]),
        )


def read_citations() -> Iterator[Doc]:
    """The works that the package cites: title and DOI, no abstract."""
    seen: dict[str, str] = {}
    for entry in _json("guidelines/registry.json"):
        seen.setdefault(
            entry["doi"], f"{entry['title']} ({entry['organization']} {entry['year']})"
        )
    for path in _paths("mcp/differentials/data", "*.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        seen.setdefault(entry["source_doi"], entry["source_description"])
    for entry in _json("mcp/calculators/data/renal_dose_adjustments.json").values():
        seen.setdefault(entry["source_doi"], entry["source_description"])
    for path in _paths("mcp/calculators", "*.py"):
        for doi, description in _evidence(path):
            seen.setdefault(doi, description)
    for doi, title in seen.items():
        if doi.startswith("10."):
            yield _citation(doi, title)


def _guideline(entry: dict[str, Any], section: str, text: str) -> Doc:
    notes = [DIGEST.format(doi=entry["doi"])]
    for later in _listed(entry.get("superseded_by")):
        notes.append(f"Superseded by {later}.")
    heading = section.replace("_", " ")
    return Doc(
        "guideline",
        f"{entry['id']}/{section}",
        f"{entry['title']}: {heading}",
        _without_title(text),
        terms=tuple(entry["topics"]),
        notes="\n".join(notes),
        source_url=_address(entry["doi"]),
        version=f"{entry['organization']} {entry['year']}",
    )


def _differential(entry: dict[str, Any]) -> str:
    parts = [entry["description"]]
    flags = [
        f"- {one['name']}: {'; '.join(one['red_flags'])}"
        for one in entry["diagnoses"]
        if one["red_flags"]
    ]
    parts.append("## Red flags\n" + "\n".join(flags))
    for likelihood, label in LIKELIHOODS.items():
        chosen = [one for one in entry["diagnoses"] if one["likelihood"] == likelihood]
        if chosen:
            parts.append(f"## {label}\n" + "\n".join(map(_diagnosis, chosen)))
    if entry["also_consider"]:
        parts.append(
            "## Also consider\n" + "\n".join(f"- {_said(one)}" for one in entry["also_consider"])
        )
    return "\n\n".join(parts)


def _diagnosis(one: dict[str, Any]) -> str:
    tests = [test for test in one["recommended_tests"] if not CALCULATOR.fullmatch(test)]
    line = f"- {one['name']}. Features: {'; '.join(one['key_features'])}."
    return line + (f" Tests: {'; '.join(tests)}." if tests else "")


def _renal(entry: dict[str, Any]) -> str:
    unit = "CrCl in mL/min" if entry["label_renal_metric"] == "crcl" else "eGFR in mL/min/1.73 m2"
    lines = [f"Usual dose: {entry['normal_dose']} ({entry['route']}). By {unit}:"]
    for tier in entry["tiers"]:
        limits = (
            f"{tier['min']} and above"
            if tier["max"] is None
            else f"{tier['min']} to {tier['max']}"
        )
        said = [tier["dose"], *tier["warnings"]]
        if tier["dialysis_note"]:
            said.append(f"dialysis: {tier['dialysis_note']}")
        lines.append(f"- {limits}: {'; '.join(said)}")
    if entry["monitoring_parameters"]:
        lines.append(f"Monitor: {'; '.join(entry['monitoring_parameters'])}.")
    if entry["hepatic_interaction_flag"]:
        lines.append("Liver disease changes the dose as well.")
    return "\n".join(lines)


def _citation(doi: str, title: str) -> Doc:
    return Doc(
        "pubmed",
        f"doi:{doi}",
        title.strip(),
        f"Title and DOI only; no abstract is embedded.\nDOI: {doi}",
        url=_address(doi),
        source_url=_address(doi),
    )


def _evidence(path: Path) -> Iterator[tuple[str, str]]:
    """The DOI and description of each ``Evidence(...)`` in a source file, which is not run."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            given = {
                word.arg: word.value.value
                for word in node.keywords
                if isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
            }
            if "source_doi" in given and given.get("description"):
                yield given["source_doi"], given["description"]


def _json(name: str) -> Any:
    return json.loads(file_of(DISTRIBUTION, f"{ROOT}/{name}").read_text(encoding="utf-8"))


def _paths(folder: str, pattern: str) -> list[Path]:
    return sorted(file_of(DISTRIBUTION, f"{ROOT}/{folder}").glob(pattern))


def _address(doi: str) -> str:
    return f"https://doi.org/{doi}" if doi.startswith("10.") else ""


def _listed(value: Any) -> list[str]:
    if not value:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _said(one: Any) -> str:
    return str(one.get("name") or one) if isinstance(one, dict) else str(one)


def _without_title(text: str) -> str:
    """The text below its first heading: the title says that already."""
    first, _, rest = text.partition("\n")
    return rest.strip() if first.startswith("# ") else text.strip()
