from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kos.chat.declare import DeclarationError, declare_json, declare_typescript, main

PAYLOADS = Path(__file__).parents[2] / "data/payloads"
SEVEN = json.loads((PAYLOADS / "seven_tools.json").read_text())
FRAME = "# Tools\n\n## functions\nnamespace functions {{\n{}\n}}\n"


def tool(name: str, parameters: object = None, description: str = "") -> dict:
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def takes(**properties: object) -> dict:
    return {"type": "object", "properties": properties}


SEARCH = takes(
    query={
        "type": "string",
        "description": "3-5 medical terms",
        "minLength": 2,
        "maxLength": 200,
    },
    max_results={
        "type": "integer",
        "minimum": 1,
        "maximum": 20,
        "default": 5,
        "description": "How many articles to return",
    },
    sort={"type": "string", "enum": ["relevance", "pub_date"], "default": "relevance"},
) | {"required": ["query"]}
TRIALS = takes(
    condition={"type": "string"},
    filters={
        "type": "object",
        "description": "Optional filters",
        "properties": {
            "status": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "enum": ["RECRUITING", "COMPLETED"]},
            },
            "phase": {"type": "array", "items": {"type": "string", "description": "one phase"}},
        },
        "additionalProperties": False,
    },
    labels={"type": "object", "additionalProperties": {"type": "string"}},
) | {"required": ["condition"]}
MIX = takes(
    a={"anyOf": [{"type": "string"}, {"type": "null"}], "description": "maybe"},
    b={"type": ["integer", "null"]},
    c={"type": ["string", "null"], "enum": ["x", None]},
    d={"type": "boolean", "default": False},
    e={"type": "number", "default": 0.5},
    g={"type": "string", "default": 'é"q'},
    h={},
    i={"type": "array"},
    j={"type": "integer", "enum": [1, 2]},
)
BOOK = takes(
    doses={"type": "array", "items": {"$ref": "#/$defs/Dose"}},
    first={"$ref": "#/$defs/Dose", "description": "the first"},
) | {
    "required": ["doses"],
    "$defs": {
        "Dose": takes(mg={"type": "number"}, route={"type": "string"})
        | {"required": ["mg"], "description": "One dose"}
    },
}
TREE = takes(name={"type": "string"}, children={"type": "array", "items": {"$ref": "#"}}) | {
    "required": ["name"]
}

WORKED = {
    "search_pubmed": (
        [tool("search_pubmed", SEARCH, "Search PubMed.\nKeep queries short.")],
        """\
// Search PubMed.
// Keep queries short.
type search_pubmed = (_: {
  // 3-5 medical terms
  // maxLength: 200, minLength: 2
  query: string,
  // How many articles to return
  // maximum: 20, minimum: 1
  // Default: 5
  max_results?: number,
  // Default: "relevance"
  sort?: "relevance" | "pub_date"
}) => any;""",
    ),
    "without parameters": (
        [tool("ping", {"type": "object", "properties": {}}, "No args"), tool("pong")],
        "// No args\ntype ping = (_: {}) => any;\ntype pong = (_: {}) => any;",
    ),
    "nested": (
        [tool("search_clinical_trials", TRIALS)],
        """\
type search_clinical_trials = (_: {
  condition: string,
  // Optional filters
  filters?: {
    phase?: Array<
      // one phase
      string
    >,
    // minItems: 1
    status?: Array<"RECRUITING" | "COMPLETED">,
    [k: string]: never
  },
  labels?: {
    [k: string]: string
  }
}) => any;""",
    ),
    "choices": (
        [tool("mix", MIX)],
        """\
type mix = (_: {
  // maybe
  a?: string | null,
  b?: number | null,
  c?: "x" | None,
  // Default: False
  d?: boolean,
  // Default: 0.5
  e?: number,
  // Default: "é\\"q"
  g?: string,
  h?: any,
  i?: Array<any>,
  j?: 1 | 2
}) => any;""",
    ),
    "definitions": (
        [tool("book", BOOK, "refs")],
        """\
// One dose
interface Dose {
  mg: number,
  route?: string
}
// refs
type book = (_: {
  doses: Array<Dose>,
  // the first
  first?: Dose
}) => any;""",
    ),
    "itself": (
        [tool("tree", TREE, "recursive")],
        """\
interface parameters {
  name: string,
  children?: Array<parameters>
}
// recursive
type tree = (_: parameters) => any;""",
    ),
}


@pytest.mark.parametrize("name", WORKED)
def test_the_worked_examples_are_met_to_the_byte(name):
    tools, expected = WORKED[name]
    assert declare_typescript(tools) == FRAME.format(expected)


def test_the_seven_tools_are_met_to_the_byte():
    assert declare_typescript(SEVEN) == (PAYLOADS / "seven_tools.ts.txt").read_text()


def test_json_has_sorted_keys_and_no_spaces():
    assert declare_json(
        [tool("f", {"type": "object", "properties": {"b": {}, "a": {}}}, "é")]
    ) == (
        '[{"function":{"description":"é","name":"f","parameters":'
        '{"properties":{"a":{},"b":{}},"type":"object"}},"type":"function"}]'
    )


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"oneOf": [{"type": "string"}]}, "f: a needs a type"),
        ({"allOf": [{"type": "string"}]}, "f: a needs a type"),
        ({"const": "x"}, "f: a needs a type"),
        ({"description": "anything"}, "f: a needs a type"),
        ({"$ref": "https://example.org/x.json"}, "only `#` and"),
        ({"$ref": "#/$defs/Dose"}, "not among its"),
        ({"type": "string", "enum": ["a", 1]}, "is a string, but its enum has 1"),
        ({"type": ["string", "integer"], "enum": ["a"]}, "enum of several types"),
        ({"type": "string", "description": 5}, "description that is no text"),
        ({"type": "object", "properties": []}, "properties that is no dict"),
        ("string", "is no schema"),
    ],
)
def test_what_cannot_be_said_is_an_error_that_names_the_place(schema, sentence):
    with pytest.raises(DeclarationError, match=re.escape(sentence)):
        declare_typescript([tool("f", takes(a=schema))])


@pytest.mark.parametrize("wrong", [{"name": "f"}, {"type": "function"}, "f", {"function": {}}])
def test_what_is_no_tool_is_an_error(wrong):
    with pytest.raises(DeclarationError, match="A tool is an object"):
        declare_typescript([wrong])


def test_two_definitions_of_one_name_are_an_error():
    inner = takes() | {"$defs": {"Q": {"type": "string"}}}
    with pytest.raises(DeclarationError, match="defines 'Q' again"):
        declare_typescript([tool("f", takes(a=inner) | {"$defs": {"Q": {"type": "integer"}}})])


def test_the_command_prints_the_declarations(capsys):
    assert main([str(PAYLOADS / "seven_tools.json")]) == 0
    assert capsys.readouterr().out == (PAYLOADS / "seven_tools.ts.txt").read_text()


def test_the_command_says_what_is_wrong(capsys, tmp_path):
    (tmp_path / "tools.json").write_text('[{"type": "function", "function": {}}]')
    assert main([str(tmp_path / "tools.json")]) == 1
    assert "A tool is an object" in capsys.readouterr().err
    assert main([]) == 2


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
leaves = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "number", "boolean", "null"])},
        optional={"description": st.text(max_size=20), "default": st.integers()},
    ),
    st.fixed_dictionaries({"type": st.just("string"), "enum": st.lists(st.text(), min_size=1)}),
    st.just({}),
)


def objects(inner: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(
        lambda properties, pick, more: {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if pick.random() < 0.5],
            "additionalProperties": more,
        },
        st.dictionaries(names, inner, max_size=4),
        st.randoms(use_true_random=False),
        st.booleans(),
    )


schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        objects(inner),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(objects(schemas))
def test_any_schema_of_the_subset_is_declared(schema):
    assert declare_typescript([tool("f", schema)]).startswith("# Tools\n\n## functions\n")


@settings(max_examples=60)
@given(objects(st.sampled_from([{"type": "string"}, {"type": "boolean"}])))
def test_names_and_what_is_required_can_be_read_back(schema):
    text = declare_typescript([tool("f", schema)])
    found = dict(re.findall(r"^  (\w+)(\??): (?:string|boolean),?$", text, re.MULTILINE))
    assert found == {
        name: "" if name in schema["required"] else "?" for name in schema["properties"]
    }
