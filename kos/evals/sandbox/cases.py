"""The sandbox's cases: invented patients, what is asked about them, and what must come of it.

Every case is a short story in a long record: years of ordinary results and notes surround the few
that matter, so that what a search brings back is as long as in a real chart. ``size`` is the
length of the longest search's result, in characters.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from kos.data.rubrics import Checkpoint, Environment, RubricItem, RubricTask
from kos.evals.sandbox.store import (
    Measure,
    Resource,
    Store,
    condition,
    note,
    numbers,
    observation,
    prescription,
)
from kos.evals.sandbox.tools import CREATES, SEARCHES

TODAY = date(2026, 3, 2)
LABS = {
    "tsh": Measure("3016-3", "TSH", "mIU/L"),
    "ft4": Measure("3024-7", "Free T4", "ng/dL"),
    "creatinine": Measure("2160-0", "Creatinine", "mg/dL"),
    "egfr": Measure("98979-8", "eGFR (CKD-EPI 2021)", "mL/min/1.73 m2"),
    "potassium": Measure("2823-3", "Potassium", "mmol/L"),
    "inr": Measure("6301-6", "INR", "ratio"),
    "haemoglobin": Measure("718-7", "Haemoglobin", "g/dL"),
    "ferritin": Measure("2276-4", "Ferritin", "ng/mL"),
    "ldl": Measure("13457-7", "LDL cholesterol", "mg/dL"),
    "a1c": Measure("4548-4", "Haemoglobin A1c", "%"),
    "sodium": Measure("2951-2", "Sodium", "mmol/L"),
    "weight": Measure("29463-7", "Body weight", "kg", is_vital=True),
    "systolic": Measure("8480-6", "Systolic blood pressure", "mmHg", is_vital=True),
}
# What fills a chart: measured often, in the normal range, and beside the point.
ORDINARY = {
    Measure("777-3", "Platelets", "10*9/L"): (160, 380),
    Measure("6690-2", "Leukocytes", "10*9/L"): (4, 10),
    Measure("1742-6", "ALT", "U/L"): (10, 38),
    Measure("1751-7", "Albumin", "g/dL"): (3.6, 4.9),
    Measure("17861-6", "Calcium", "mg/dL"): (8.7, 10.1),
    Measure("2345-7", "Glucose", "mg/dL"): (78, 110),
}
VISITS = (
    "Routine visit. No new complaints. Vaccinations are up to date. Continue as before.",
    "Telephone contact about a repeat prescription. Nothing else was asked.",
    "Seen for a cold. Lungs clear. Advice on fluids and rest. No antibiotic.",
    "Blood pressure check by the nurse. Within the target. Next check in six months.",
    "Physiotherapy for neck pain ended. Better. Home exercises continue.",
)
SEARCH_LABS = "fhir_observation_search_labs"
SEARCH_ORDERS = "fhir_medication_request_search_orders"


@dataclass(frozen=True)
class Case:
    """One patient's story. ``results`` are (measure, value, days ago), ``orders`` (name, dose)."""

    name: str
    specialty: str
    sex: str
    born: str
    problems: tuple[tuple[str, str], ...]
    orders: tuple[tuple[str, str], ...]
    results: tuple[tuple[str, float, int], ...]
    story: str
    task: str
    checkpoints: tuple[tuple[str, str, Mapping[str, Any], str], ...]


def looked_up(*codes: str, orders: bool = True) -> tuple[str, str, Mapping[str, Any], str]:
    """The checkpoint that the agent read what the decision rests on."""
    tools = [SEARCH_LABS, *([SEARCH_ORDERS] if orders else [])]
    params = {"required_tools": tools, "required_codes": list(codes)}
    return "trajectory", "Looks up the results and orders the decision rests on", params, ""


def wrote(text: str, resource: str, *patterns: str, **bounds: Any) -> tuple[str, str, Any, str]:
    """The checkpoint that the record holds what was to be ordered."""
    status = ["stopped"] if bounds.pop("is_stopped", False) else ["active"]
    params = {"resource": resource, "code_patterns": list(patterns), "expected_status": status}
    return "fhir_state", text, params | bounds, ""


def states(field: str, value: str) -> tuple[str, str, Mapping[str, Any], str]:
    """The checkpoint that the answer has a line with this field and value."""
    return "field_match", f"States {field}: {value}", {"field": field}, value


CASES = (
    Case(
        "thyroid",
        "endocrinology",
        "female",
        "1961-05-14",
        (("E03.9", "Hypothyroidism, unspecified"), ("I10", "Essential hypertension")),
        (("levothyroxine", "125 mcg by mouth every morning"), ("lisinopril", "10 mg once a day")),
        (("tsh", 0.08, 9), ("ft4", 2.1, 9), ("tsh", 2.4, 420), ("weight", 61, 9)),
        "Reports palpitations and poor sleep for two months. Lost 9 kg since the dose was last "
        "set. Takes the tablets every day.",
        "Mrs Example's thyroid tests came back. Review them with her current medicines and weight, "
        "change what needs to be changed in the record, and order the follow-up tests.",
        (
            looked_up("3016-3", "3024-7"),
            wrote(
                "Orders a lower dose of levothyroxine",
                "MedicationRequest",
                "levothyroxine",
                low=75,
                high=112,
                unit="mcg",
            ),
            wrote("Orders TSH for follow-up", "ServiceRequest", "3016-3", "TSH", "84443"),
            states("cause", "over-replacement"),
        ),
    ),
    Case(
        "metformin",
        "nephrology",
        "male",
        "1950-11-02",
        (("E11.22", "Type 2 diabetes with kidney disease"), ("N18.32", "CKD stage 3b")),
        (("metformin", "1000 mg twice a day"), ("empagliflozin", "10 mg once a day")),
        (("egfr", 27, 6), ("egfr", 29, 100), ("egfr", 41, 400), ("a1c", 7.1, 6)),
        "Feels well. Eats regularly. No diarrhoea, no contrast medium planned.",
        "New kidney function results are in. Check whether all diabetes medicines are still right "
        "at this eGFR and act in the record.",
        (
            looked_up("98979-8"),
            wrote("Stops metformin", "MedicationRequest", "metformin", is_stopped=True),
            wrote(
                "Orders a repeat of kidney function",
                "ServiceRequest",
                "98979-8",
                "2160-0",
                "creatinine",
                "eGFR",
            ),
            states("eGFR", "27"),
        ),
    ),
    Case(
        "potassium",
        "cardiology",
        "male",
        "1957-08-21",
        (("I50.22", "Chronic systolic heart failure"),),
        (
            ("spironolactone", "50 mg once a day"),
            ("ramipril", "10 mg once a day"),
            ("potassium chloride", "20 mmol twice a day"),
        ),
        (("potassium", 5.9, 1), ("potassium", 4.4, 60), ("creatinine", 1.6, 1)),
        "No palpitations. ECG yesterday: sinus rhythm, no peaked T waves.",
        "Yesterday's potassium needs an answer today. Find what drives it, act in the record and "
        "order the control.",
        (
            looked_up("2823-3"),
            wrote(
                "Stops potassium chloride",
                "MedicationRequest",
                "potassium chloride",
                is_stopped=True,
            ),
            wrote("Orders a control of potassium", "ServiceRequest", "2823-3", "potassium"),
            states("potassium", "5.9"),
        ),
    ),
    Case(
        "warfarin",
        "haematology",
        "female",
        "1948-01-30",
        (("I48.20", "Chronic atrial fibrillation"), ("Z95.2", "Mechanical mitral valve")),
        (("warfarin", "5 mg once a day"), ("trimethoprim-sulfamethoxazole", "160/800 mg twice a day")),
        (("inr", 5.4, 1), ("inr", 2.9, 30), ("haemoglobin", 12.9, 1)),
        "Started an antibiotic for a bladder infection five days ago, elsewhere. No bleeding.",
        "The INR is out of range. Find the reason, decide about the next doses and the antibiotic, "
        "act in the record and order the control.",
        (
            looked_up("6301-6"),
            wrote(
                "Stops the interacting antibiotic",
                "MedicationRequest",
                "trimethoprim",
                "sulfamethoxazole",
                "co-trimoxazole",
                is_stopped=True,
            ),
            wrote("Orders an INR control", "ServiceRequest", "6301-6", "INR"),
            states("cause", "interaction"),
        ),
    ),
    Case(
        "anaemia",
        "gastroenterology",
        "male",
        "1964-03-09",
        (("K21.9", "Gastro-oesophageal reflux disease"),),
        (("omeprazole", "20 mg once a day"), ("naproxen", "500 mg twice a day")),
        (("haemoglobin", 9.8, 4), ("haemoglobin", 14.1, 380), ("ferritin", 7, 4)),
        "Tired for months. Takes naproxen daily for his knee. No black stools seen.",
        "His blood count has fallen. Work out the kind of anaemia, start treatment, deal with what "
        "may cause it and order what must be ruled out.",
        (
            looked_up("718-7", "2276-4"),
            wrote("Orders iron", "MedicationRequest", "iron", "ferrous"),
            wrote("Stops naproxen", "MedicationRequest", "naproxen", is_stopped=True),
            wrote(
                "Orders endoscopy",
                "ServiceRequest",
                "endoscopy",
                "colonoscopy",
                "gastroscopy",
                "45378",
                "43239",
            ),
        ),
    ),
    Case(
        "statin",
        "cardiology",
        "female",
        "1959-12-18",
        (("I21.4", "NSTEMI"), ("I25.2", "Old myocardial infarction")),
        (("simvastatin", "20 mg at night"), ("amlodipine", "10 mg once a day"), ("aspirin", "81 mg")),
        (("ldl", 118, 5), ("ldl", 121, 95), ("creatinine", 0.8, 5)),
        "Three months after her heart attack. No muscle pain. Never had a high-intensity statin.",
        "Her cholesterol is back. Is her statin right after the infarction? Act in the record and "
        "order the control.",
        (
            looked_up("13457-7"),
            wrote(
                "Orders a high-intensity statin",
                "MedicationRequest",
                "atorvastatin",
                "rosuvastatin",
                low=20,
                high=80,
                unit="mg",
            ),
            wrote("Stops simvastatin", "MedicationRequest", "simvastatin", is_stopped=True),
            wrote("Orders an LDL control", "ServiceRequest", "13457-7", "LDL", "lipid"),
        ),
    ),
)  # fmt: skip
BY_NAME: Mapping[str, Case] = {case.name: case for case in CASES}


def store_of(environment: Environment) -> Store:
    """The record that a task's environment names; equal environments give equal records."""
    case = BY_NAME[str(environment.data["case"])]
    draw = random.Random(f"{case.name},{environment.data['seed']}")  # noqa: S311 (no secret)
    number = iter(numbers())
    resources = _story(case, number)
    _fill(resources, int(str(environment.data["size"])), draw, number)
    return Store(resources)


def task_of(case: Case, *, size: int, seed: int) -> RubricTask:
    """The case as a task to evaluate."""
    rubric = [
        RubricItem(
            key=f"c{place}",
            text=text,
            points=1,
            checkpoint=Checkpoint(kind=kind, params=dict(params), ground_truth=truth),
        )
        for place, (kind, text, params, truth) in enumerate(case.checkpoints, 1)
    ]
    fields = [
        f"{p['field']}: <value>" for kind, _, p, _ in case.checkpoints if kind == "field_match"
    ]
    closing = f" End with one line each: {'; '.join(fields)}." if fields else ""
    return RubricTask(
        id=f"sandbox-{case.name}-{size}",
        messages=[
            {
                "role": "user",
                "content": f"Patient sandbox-{case.name}. Today is {TODAY}. {case.task}{closing}",
            }
        ],
        rubric=rubric,
        split="test",
        use_case="consult",
        specialty=case.specialty,
        tags=(f"chart:{size // 1000}k",),
        environment=Environment(
            tools=(*SEARCHES, *CREATES),
            patient_id=f"sandbox-{case.name}",
            timestamp=f"{TODAY}T08:00:00Z",
            data={"sandbox": "fhir", "case": case.name, "seed": seed, "size": size},
        ),
        licence="Apache-2.0",
        sources=("Kos sandbox; invented patients",),
    )


def _story(case: Case, number: Iterator[int]) -> dict[str, list[Resource]]:
    patient = {
        "resourceType": "Patient",
        "id": f"sandbox-{case.name}",
        "name": [{"text": f"Example, {case.name.title()}"}],
        "gender": case.sex,
        "birthDate": case.born,
    }
    story = note("Progress note", case.story, _ago(1), next(number))
    return {
        "Patient": [patient],
        "Condition": [condition(*found, _ago(900), next(number)) for found in case.problems],
        "MedicationRequest": [
            prescription(*found, _ago(300), next(number)) for found in case.orders
        ],
        "Observation": [
            observation(LABS[name], value, _ago(days), next(number))
            for name, value, days in case.results
        ],
        "DocumentReference": [story],
    }


def _fill(
    resources: dict[str, list[Resource]], size: int, draw: random.Random, number: Iterator[int]
) -> None:
    """Ordinary results and notes, until each of the two long searches is ``size`` long."""
    makers: dict[str, Callable[[], Resource]] = {
        "Observation": lambda: _ordinary(draw, next(number)),
        "DocumentReference": lambda: note(
            "Progress note", draw.choice(VISITS), _ago(draw.randrange(30, 2500)), next(number)
        ),
    }
    for kind, make in makers.items():
        length = len(json.dumps(resources[kind]))
        while length < size:
            resources[kind].append(make())
            length += len(json.dumps(resources[kind][-1])) + 2


def _ordinary(draw: random.Random, number: int) -> Resource:
    measure, (low, high) = draw.choice([*ORDINARY.items()])
    value = round(draw.uniform(low, high), 1)
    return observation(measure, value, _ago(draw.randrange(30, 2500)), number)


def _ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()
