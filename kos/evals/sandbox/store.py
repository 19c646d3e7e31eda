"""The records of one patient, as FHIR R4 resources, and what an agent did to them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kos.errors import UserError

Resource = dict[str, Any]
# What an agent may write; the rest of a record is history.
WRITABLE = ("MedicationRequest", "ServiceRequest", "DocumentReference")


@dataclass
class Store:
    """Resources by type. ``created`` are those that the agent wrote, in order."""

    resources: dict[str, list[Resource]]
    created: list[Resource] = field(default_factory=list)

    def search(self, kind: str, *, code: str = "", text: str = "", limit: int) -> list[Resource]:
        """The newest resources of a kind; ``code`` must be one of theirs, ``text`` occur in them."""
        found = [
            resource
            for resource in self.resources.get(kind, [])
            if (not code or code in codes_of(resource))
            and (not text or text.casefold() in _words(resource).casefold())
        ]
        return sorted(found, key=date_of, reverse=True)[:limit]

    def create(self, kind: str, resource: Resource) -> Resource:
        """Add a resource; UserError for a kind that only the hospital writes."""
        if kind not in WRITABLE:
            raise UserError(f"{kind} cannot be written. These can: {', '.join(WRITABLE)}.")
        number = 1 + len(self.created)
        whole = {"resourceType": kind, "id": f"new-{number}", **resource}
        self.resources.setdefault(kind, []).append(whole)
        self.created.append(whole)
        return whole


def codes_of(resource: Mapping[str, Any]) -> list[str]:
    """Every code in the resource, with its display texts."""
    concepts = [resource.get("code"), resource.get("medicationCodeableConcept")]
    codings = [coding for concept in concepts if concept for coding in concept.get("coding", ())]
    shown = [concept.get("text", "") for concept in concepts if concept]
    return [value for c in codings for value in (c.get("code", ""), c.get("display", ""))] + shown


def date_of(resource: Mapping[str, Any]) -> str:
    """When it was, ISO 8601; "" when it does not say."""
    names = ("effectiveDateTime", "authoredOn", "date", "recordedDate")
    return next((str(resource[name]) for name in names if name in resource), "")


class Measure(NamedTuple):
    """What is measured: LOINC code, name, unit, and whether it is a vital sign."""

    code: str
    name: str
    unit: str
    is_vital: bool = False


def observation(measure: Measure, value: float, date: str, number: int) -> Resource:
    """A laboratory result or a vital sign."""
    category = {"category": "vital-signs"} if measure.is_vital else {}
    return category | {
        "resourceType": "Observation",
        "id": f"obs-{number}",
        "status": "final",
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": measure.code, "display": measure.name}
            ],
            "text": measure.name,
        },
        "effectiveDateTime": date,
        "valueQuantity": {"value": value, "unit": measure.unit},
    }


def prescription(name: str, dose: str, date: str, number: int, status: str = "active") -> Resource:
    """A medicine that was ordered."""
    return {
        "resourceType": "MedicationRequest",
        "id": f"med-{number}",
        "status": status,
        "intent": "order",
        "medicationCodeableConcept": {"text": name},
        "authoredOn": date,
        "dosageInstruction": [{"text": dose}],
    }


def condition(code: str, name: str, date: str, number: int) -> Resource:
    """A diagnosis, coded in ICD-10-CM."""
    return {
        "resourceType": "Condition",
        "id": f"cond-{number}",
        "clinicalStatus": {"text": "active"},
        "code": {"coding": [{"system": "ICD-10-CM", "code": code, "display": name}], "text": name},
        "recordedDate": date,
    }


def note(title: str, text: str, date: str, number: int) -> Resource:
    """A clinical note; its text lies in the attachment as it is."""
    return {
        "resourceType": "DocumentReference",
        "id": f"note-{number}",
        "status": "current",
        "type": {"text": title},
        "date": date,
        "content": [{"attachment": {"contentType": "text/plain", "data": text}}],
    }


def _words(value: Any) -> str:
    match value:
        case Mapping():
            return " ".join(_words(one) for one in value.values())
        case str():
            return value
        case Sequence():
            return " ".join(_words(one) for one in value)
    return str(value)


def numbers() -> itertools.count[int]:
    """Numbers for the ids of one patient's resources."""
    return itertools.count(1)
