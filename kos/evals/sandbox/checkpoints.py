"""Whether an agent passed a checkpoint, by what it looked up, wrote and said.

Three kinds are decided here, without a judge: ``trajectory`` (which tools it called, about what),
``fhir_state`` (what stands in the record afterwards) and ``field_match`` (what it answered in a
named field). ``llm_judge`` is the judge's. PARTIAL is no pass (PhysicianBench).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kos.data.rubrics import Check, Checkpoint, RubricItem
from kos.evals.sandbox.store import Store, codes_of
from kos.events import ItemGrade
from kos.grading.rules import holds, plain
from kos.messages import ToolRecord

GRADER = "sandbox"
DECIDED = ("trajectory", "fhir_state", "field_match")
Params = Mapping[str, Any]


def grade(
    items: Sequence[RubricItem], store: Store, calls: Sequence[ToolRecord], answer: str
) -> tuple[ItemGrade, ...]:
    """The verdicts on those items whose checkpoint is decided here."""
    return tuple(
        ItemGrade(item.key, item.text, item.points, met, GRADER, note=why, tags=item.tags)
        for item in items
        if item.checkpoint is not None and item.checkpoint.kind in DECIDED
        for met, why in [decide(item.checkpoint, store, calls, answer)]
    )


def decide(
    checkpoint: Checkpoint, store: Store, calls: Sequence[ToolRecord], answer: str
) -> tuple[bool, str]:
    """Whether it is passed, and what was found or missed."""
    match checkpoint.kind:
        case "trajectory":
            return _trajectory(checkpoint.params, calls)
        case "fhir_state":
            return _state(checkpoint.params, store)
        case _:
            return _field(checkpoint, answer)


def _trajectory(params: Params, calls: Sequence[ToolRecord]) -> tuple[bool, str]:
    """All required tools, one of the alternatives, and every required code seen in a result."""
    made = [record for record in calls if not record.is_error]
    names = {record.call.name for record in made}
    missing = [name for name in _words(params, "required_tools") if name not in names]
    others = _words(params, "any_of_tools")
    if missing:
        return False, f"never called {', '.join(missing)}"
    if others and not names & set(others):
        return False, f"called none of {', '.join(others)}"
    read = " ".join(record.call.arguments + record.observation for record in made)
    unseen = [code for code in _words(params, "required_codes") if code not in read]
    return (False, f"never saw {', '.join(unseen)}") if unseen else (True, "looked up")


def _state(params: Params, store: Store) -> tuple[bool, str]:
    """Something the agent wrote: of the kind and status wanted, about one of the codes, and, when
    a dose is wanted, within its bounds in ``low`` to ``high``.
    """
    kind, statuses = str(params["resource"]), _words(params, "expected_status")
    patterns = _words(params, "code_patterns")
    for resource in store.created:
        if resource["resourceType"] != kind:
            continue
        if statuses and resource.get("status") not in statuses:
            continue
        told = " ".join(codes_of(resource)).casefold()
        if patterns and not any(pattern.casefold() in told for pattern in patterns):
            continue
        if _fits_dose(params, resource):
            return True, f"wrote {resource['id']}"
    return False, f"no {kind} that fits was written"


def _fits_dose(params: Params, resource: Mapping[str, Any]) -> bool:
    if "low" not in params:
        return True
    text = " ".join(one.get("text", "") for one in resource.get("dosageInstruction", ()))
    unit = re.escape(str(params.get("unit", "")))
    doses = re.findall(rf"(\d+(?:\.\d+)?)\s*{unit}", plain(text), re.IGNORECASE)
    return any(float(params["low"]) <= float(dose) <= float(params["high"]) for dose in doses)


def _field(checkpoint: Checkpoint, answer: str) -> tuple[bool, str]:
    """A line "field: value" of the answer holds what is expected; any line where none is named."""
    name = str(checkpoint.params.get("field", ""))
    wanted = checkpoint.ground_truth or str(checkpoint.params.get("expected", ""))
    lines = answer.splitlines()
    if name:
        lines = [line for line in lines if plain(name).casefold() in plain(line).casefold()]
    is_met = holds(Check(any_of=(wanted,)), "\n".join(lines)) if lines and wanted else False
    return is_met, f"found {lines[0][:120]!r}" if lines else f"no line about {name!r}"


def _words(params: Params, name: str) -> list[str]:
    value = params.get(name) or []
    return [value] if isinstance(value, str) else [str(one) for one in value]
