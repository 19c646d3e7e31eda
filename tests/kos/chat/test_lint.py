from __future__ import annotations

import json
from pathlib import Path

import pytest

from kos.chat.lint import lint
from kos.chat.mfjs import findings
from tests.shared import shared

SEVEN = json.loads((Path(__file__).parents[2] / "data/payloads/seven_tools.json").read_text())


def tool(parameters: object, name: str = "f") -> dict:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def takes(**properties: object) -> dict:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize("declaration", SEVEN, ids=lambda tool: tool["function"]["name"])
def test_the_seven_tools_are_fine(declaration):
    assert lint(declaration) == []


def test_every_schema_that_moonshot_s_validator_takes_is_taken():
    folder = shared("walle_validator_cases") / "validator_cases"
    schemas = [
        json.loads(line)
        for file in sorted(folder.glob("*/valid.jsonl"))
        for line in file.read_text().split("\n")
        if line.strip()
    ]
    assert len(schemas) == 212
    assert [schema for schema in schemas if findings(schema)] == []


def refuses(text: str) -> bool:
    try:
        return bool(findings(json.loads(text)))
    except ValueError:
        return True


def test_every_schema_that_moonshot_s_validator_rejects_is_rejected():
    rows = [
        json.loads(line)
        for file in sorted(shared("walle_invalid").glob("*.jsonl"))
        for line in file.read_text().split("\n")
        if line.strip()
    ]
    assert len(rows) == 182
    assert [row["schema"] for row in rows if not refuses(row["schema"])] == []


@pytest.mark.parametrize("name", ["", "search.icd", "a:b", "a b", "x" * 65, "größe"])
def test_a_name_that_breaks_the_ids_of_calls_is_refused(name):
    assert "the name" in lint(tool(takes(), name))[0]


def test_a_property_needs_a_name():
    assert "'max results'" in lint(tool(takes(**{"max results": {"type": "string"}})))[0]


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"oneOf": [{"type": "string"}]}, "has oneOf"),
        ({"type": "string", "format": "date"}, "has format"),
        ({"type": "integer", "exclusiveMinimum": 1}, "has exclusiveMinimum"),
        ({"type": "string", "const": "x"}, "has const"),
        ({"type": "str"}, "has the type 'str'"),
        ({"description": "anything"}, "has no type"),
        ({}, "has no type"),
        ({"type": "string", "enum": ["a", 1]}, "which is no string"),
        ({"type": "string", "default": 1}, "default that is no string"),
        ({"type": "string", "pattern": "("}, "no regular expression"),
        ({"anyOf": [{"type": "string"}] * 11}, "more than 10 entries"),
        ({"$ref": "https://example.org/x.json"}, "must be # or begin with"),
    ],
)
def test_what_a_model_would_not_be_told_is_refused(schema, sentence):
    assert sentence in lint(tool(takes(a=schema)))[0]


@pytest.mark.parametrize(
    "parameters", [{"type": "string"}, {"anyOf": [takes()]}, {"type": ["object", "null"]}]
)
def test_parameters_must_be_one_object(parameters):
    assert "must be one object" in lint(tool(parameters))[0]


def test_a_reference_that_typescript_cannot_follow_is_refused():
    group = {"type": "array", "items": {"type": "object"}}
    schema = takes(root={"$ref": "#/$defs/group/items"}) | {"$defs": {"group": group}}
    assert findings(schema) == []
    assert "not among its $defs" in lint(tool(schema))[0]


def test_recursion_below_the_definitions_only_is_refused():
    node = takes(up={"$ref": "#"})
    assert (
        "under $defs only" in lint(tool(takes(a={"type": "string"}) | {"$defs": {"N": node}}))[0]
    )


def test_a_schema_without_end_is_refused_without_hanging():
    schema: dict = {}
    for _ in range(3000):
        schema = {"type": "array", "items": schema}
    assert lint(tool(takes(a=schema))) == ["/ is nested more than 5 deep"]


def test_what_is_no_tool_is_refused():
    assert "A tool is an object" in lint({"name": "f"})[0]
