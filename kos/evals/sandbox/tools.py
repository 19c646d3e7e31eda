"""The sandbox's tools: what an agent can look up in the record and write into it.

Names and division follow PhysicianBench's. A search gives whole resources as JSON, as a FHIR
server does, so one result may fill tens of thousands of characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kos.evals.sandbox.store import Store
from kos.tools.base import Found, Provenance, Record
from kos.tools.desk import Desk

LIMIT = 500
TEXT = {"type": "string", "minLength": 1, "maxLength": 4000}
SEARCHES = {
    "fhir_patient_search_demographics": ("Patient", "Name, birth date, sex and address."),
    "fhir_observation_search_labs": ("Observation", "Laboratory results by LOINC code or name."),
    "fhir_observation_search_vitals": ("Observation", "Weight, height, blood pressure, pulse."),
    "fhir_condition_search_problems": ("Condition", "Diagnoses of the problem list."),
    "fhir_medication_request_search_orders": ("MedicationRequest", "Medicines that were ordered."),
    "fhir_document_reference_search_clinical_notes": ("DocumentReference", "Clinical notes."),
}
CREATES: Mapping[str, tuple[str, str, Mapping[str, tuple[Mapping[str, Any], str]]]] = {
    "fhir_medication_request_create": (
        "MedicationRequest",
        "Order a medicine, or stop one (status stopped).",
        {
            "medication": (TEXT, "Generic name"),
            "dosage": (TEXT, "Dose, route and interval, as a sentence"),
            "status": ({"type": "string", "enum": ["active", "stopped"]}, "What the order does"),
        },
    ),
    "fhir_service_request_create": (
        "ServiceRequest",
        "Order a laboratory test, an examination or a referral.",
        {
            "code": (TEXT, "LOINC or CPT code"),
            "display": (TEXT, "What is ordered"),
            "reason": (TEXT, "Why and when"),
        },
    ),
    "fhir_document_reference_create": (
        "DocumentReference",
        "File a note in the record.",
        {"title": (TEXT, "Title"), "text": ({"type": "string", "minLength": 1}, "The note")},
    ),
}
SOURCE = Provenance("Kos FHIR sandbox (invented patients)", "embedded", licence="Apache-2.0")


@dataclass(frozen=True)
class SandboxTool:
    """One of the tools, over one patient's store."""

    name: str
    store: Store

    def declare(self) -> Mapping[str, Any]:
        """Its OpenAI function declaration."""
        if self.name in SEARCHES:
            return declaration(self.name, SEARCHES[self.name][1], _searched(), required=())
        _, description, fields = CREATES[self.name]
        properties = {name: {**kind, "description": text} for name, (kind, text) in fields.items()}
        return declaration(self.name, description, properties, required=tuple(properties))

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """Search, or write."""
        if self.name in SEARCHES:
            found = self._search(arguments)
            text = json.dumps({"resourceType": "Bundle", "total": len(found), "entry": found})
        else:
            text = json.dumps(self._create(arguments))
        record = Record(self.name.replace("_", " "), "", text, SOURCE)
        return Found((record,), "source: sandbox record of an invented patient", "embedded")

    def _search(self, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
        kind = SEARCHES[self.name][0]
        found = self.store.search(
            kind,
            code=arguments.get("code", ""),
            text=arguments.get("text", ""),
            limit=arguments.get("max_results", LIMIT),
        )
        if kind != "Observation":
            return found
        is_vitals = self.name.endswith("vitals")
        return [one for one in found if one.get("category") == "vital-signs"] if is_vitals else [
            one for one in found if one.get("category") != "vital-signs"
        ]  # fmt: skip

    def _create(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        kind = CREATES[self.name][0]
        match kind:
            case "MedicationRequest":
                body = {
                    "status": arguments["status"],
                    "intent": "order",
                    "medicationCodeableConcept": {"text": arguments["medication"]},
                    "dosageInstruction": [{"text": arguments["dosage"]}],
                }
            case "ServiceRequest":
                code, display = arguments["code"], arguments["display"]
                body = {
                    "status": "active",
                    "intent": "order",
                    "code": {"coding": [{"code": code, "display": display}], "text": display},
                    "note": [{"text": arguments["reason"]}],
                }
            case _:
                attachment = {"contentType": "text/plain", "data": arguments["text"]}
                body = {
                    "status": "current",
                    "type": {"text": arguments["title"]},
                    "content": [{"attachment": attachment}],
                }
        return self.store.create(kind, body)


def tools_of(store: Store) -> tuple[SandboxTool, ...]:
    """All tools over one patient."""
    return tuple(SandboxTool(name, store) for name in (*SEARCHES, *CREATES))


def declaration(
    name: str, description: str, properties: Mapping[str, Any], *, required: tuple[str, ...]
) -> dict[str, Any]:
    """An OpenAI function declaration that refuses unknown arguments."""
    parameters: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    if required:
        parameters["required"] = list(required)
    parameters["additionalProperties"] = False
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def _searched() -> dict[str, Any]:
    return {
        "code": {**TEXT, "description": "A code or its display text, exactly"},
        "text": {**TEXT, "description": "Words that occur in the entry"},
        "max_results": {
            "type": "integer",
            "minimum": 1,
            "maximum": LIMIT,
            "description": "Newest first",
        },
    }
