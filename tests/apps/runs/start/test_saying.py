from __future__ import annotations

import ast
import json
import shlex

import pytest
import yaml

from apps.runs.start import saying
from apps.runs.start.inputs import InputsForm
from kos.config import Train

CONFIG = Train.model_validate(
    {
        "kind": "train",
        "steps": 3,
        "loss": {"kind": "cispo", "clip_high": 4.5},
        "system_prompt": "Don't.",
    }
)


@pytest.fixture
def body(db) -> dict[str, object]:
    data = {"run-base": "3", "run-dataset": "2", "run-seed": "5", "run-name": "short"}
    return saying.body_of(CONFIG, InputsForm(Train, data))


def test_the_body_has_what_differs_and_what_is_worked_on(body):
    assert body == {
        "kind": "train",
        "name": "short",
        "seed": 5,
        "config": {
            "steps": 3,
            "loss": {"kind": "cispo", "clip_high": 4.5},
            "system_prompt": "Don't.",
        },
        "inputs": {"base": 3},
        "dataset": 2,
    }


def test_a_shell_gives_the_call_the_body_as_it_is(body):
    words = shlex.split(saying.curl(body, "http://here").replace("\\\n", ""))
    assert words[:4] == ["curl", "-X", "POST", "http://here/api/runs/"]
    assert json.loads(words[-1]) == body


def test_the_snippet_is_python_that_gives_the_same(body):
    call = ast.parse(saying.python(body, "http://here")).body[-1].value
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert given | {"kind": call.args[0].value} == body


def test_the_command_has_every_knob_as_yaml_reads_it(body):
    words = shlex.split(saying.command(body).replace("\\\n", ""))
    assert words[:4] == ["kos", "run", "start", "train"]
    knobs = dict(
        word.split("=", 1) for place, word in enumerate(words) if words[place - 1] == "-s"
    )
    assert {name: yaml.safe_load(value) for name, value in knobs.items()} == {
        "steps": 3,
        "loss.kind": "cispo",
        "loss.clip_high": 4.5,
        "system_prompt": "Don't.",
    }
    assert words[words.index("-i") + 1] == "base=3"


def test_the_file_is_the_body(body):
    assert yaml.safe_load(saying.as_yaml(body)) == body
