from __future__ import annotations

import asyncio
import json

import pytest

from kos.errors import UserError
from kos.evals.sandbox.cases import CASES, store_of, task_of
from kos.evals.sandbox.checkpoints import grade
from kos.evals.sandbox.tools import tools_of
from kos.messages import ToolCall, ToolRecord
from kos.tools.desk import Desk

THYROID = task_of(CASES[0], size=20_000, seed=1)


def play(task, *calls, answer=""):
    """Make the calls and hold the outcome against the checkpoints: verdicts by key."""
    store = store_of(task.environment)
    tools = {tool.name: tool for tool in tools_of(store)}
    records = []
    for name, arguments in calls:
        found = asyncio.run(tools[name].call(arguments, Desk()))
        call = ToolCall("x", name, json.dumps(arguments))
        text = found.records[0].text
        records.append(ToolRecord(call, text, "", "embedded", False, 0, 0, 1))
    return {item.key: item.met for item in grade(task.rubric, store, records, answer)}


LOOK_UP = (
    ("fhir_observation_search_labs", {}),
    ("fhir_medication_request_search_orders", {}),
)
LOWER = (
    "fhir_medication_request_create",
    {"medication": "levothyroxine", "dosage": "100 mcg once a day", "status": "active"},
)
FOLLOW_UP = (
    "fhir_service_request_create",
    {"code": "3016-3", "display": "TSH", "reason": "in 6 weeks"},
)


def test_an_agent_that_does_it_all_passes_every_checkpoint():
    met = play(THYROID, *LOOK_UP, LOWER, FOLLOW_UP, answer="Cause: over-replacement")
    assert met == {"c1": True, "c2": True, "c3": True, "c4": True}


def test_an_agent_that_only_talks_passes_none_but_what_it_says():
    met = play(
        THYROID, answer="I would lower levothyroxine and repeat TSH.\ncause: over-replacement"
    )
    assert met == {"c1": False, "c2": False, "c3": False, "c4": True}


def test_a_dose_out_of_bounds_is_no_pass():
    too_high = (LOWER[0], LOWER[1] | {"dosage": "150 mcg once a day"})
    assert play(THYROID, *LOOK_UP, too_high)["c2"] is False


def test_what_was_looked_up_elsewhere_does_not_count():
    narrow = (("fhir_observation_search_labs", {"code": "777-3"}), LOOK_UP[1])
    assert play(THYROID, *narrow)["c1"] is False


def test_stopping_and_ordering_are_told_apart():
    task = task_of(CASES[1], size=20_000, seed=1)
    order = {"medication": "metformin", "dosage": "0", "status": "active"}
    assert play(task, (LOWER[0], order))["c2"] is False
    assert play(task, (LOWER[0], order | {"status": "stopped"}))["c2"] is True


@pytest.mark.parametrize("size", [20_000, 60_000])
def test_a_search_is_as_long_as_the_chart_is_made(size):
    store = store_of(task_of(CASES[2], size=size, seed=3).environment)
    labs = next(tool for tool in tools_of(store) if tool.name.endswith("labs"))
    (record,) = asyncio.run(labs.call({}, Desk())).records
    assert size <= len(record.text) < 1.1 * size


def test_equal_environments_are_equal_and_apart():
    first, second = store_of(THYROID.environment), store_of(THYROID.environment)
    assert first.resources == second.resources
    first.create("ServiceRequest", {"status": "active"})
    assert second.created == []


def test_vital_signs_and_laboratory_results_are_searched_apart():
    tools = {tool.name: tool for tool in tools_of(store_of(THYROID.environment))}
    vitals = asyncio.run(tools["fhir_observation_search_vitals"].call({}, Desk())).records[0].text
    assert json.loads(vitals)["total"] == 1
    assert "Body weight" in vitals


def test_history_cannot_be_written():
    with pytest.raises(UserError, match="Observation cannot be written"):
        store_of(THYROID.environment).create("Observation", {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_is_decided_without_a_judge(case):
    task = task_of(case, size=20_000, seed=1)
    assert set(play(task)) == {item.key for item in task.rubric}
