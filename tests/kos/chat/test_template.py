from __future__ import annotations

import json
from pathlib import Path

import pytest

from kos.chat.template import SYSTEM_PROMPT, main, render, system_prompt
from kos.config import JOBS
from kos.data.prompts import conversation
from kos.data.rubrics import RubricTask
from kos.errors import UserError
from kos.harness.loop import Harness, with_system_prompt
from kos.messages import Message

GOLDEN = Path(__file__).parents[2] / "data/payloads/kimi_k25_render_golden.json"
ASKED = {"messages": [{"role": "user", "content": "hi"}]}


def test_the_command_prints_the_prompts(capsys):
    assert main([str(GOLDEN)]) == 0
    expected = [row["rendered"] for row in json.loads(GOLDEN.read_text())]
    assert json.loads(capsys.readouterr().out) == expected


def test_the_command_says_what_is_wrong(capsys, tmp_path):
    (tmp_path / "asked.json").write_text('[{"messages": [{"role": "nobody"}]}]')
    assert main([str(tmp_path / "asked.json")]) == 1
    assert "role is one of" in capsys.readouterr().err
    assert main([]) == 2


def test_a_prompt_ends_where_it_is_told_to():
    assert render(ASKED).endswith("hi<|im_end|>")
    assert render({**ASKED, "kwargs": {"add_generation_prompt": True}}).endswith("<think>")
    assert render({**ASKED, "dialect": "hermes"}) == "<|im_start|>user\nhi<|im_end|>\n"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"kwargs": {"enable_thinking": True}}, "no kwargs called enable_thinking"),
        ({"dialect": "latin"}, "no dialect 'latin'"),
        ({"tools_as": "xml"}, "tools_as is typescript or json"),
    ],
)
def test_a_choice_that_is_not_there_is_told(more, sentence):
    with pytest.raises(UserError, match=sentence):
        render(ASKED | more)


def test_every_job_starts_from_the_one_system_prompt():
    prompts = {
        kind: config.model_fields["system_prompt"].default
        for kind, config in JOBS.items()
        if "system_prompt" in config.model_fields
    }
    assert {"train", "evaluate", "sft"} <= set(prompts)
    assert set(prompts.values()) == {SYSTEM_PROMPT}


def test_training_evaluation_and_serving_ask_with_the_same_messages():
    rubric = [{"key": "urate", "text": "Names urate.", "points": 5}]
    row = {"id": "a", "messages": [{"role": "user", "content": "Gout?"}], "rubric": rubric}
    task = RubricTask.model_validate(row)
    served = with_system_prompt([Message("user", "Gout?")])
    assert conversation(task, SYSTEM_PROMPT) == [message.to_chat() for message in served]
    assert Harness.__dataclass_fields__["system_prompt"].default == SYSTEM_PROMPT


def test_with_tools_the_prompt_says_what_their_results_are():
    assert system_prompt(has_tools=False) == SYSTEM_PROMPT
    assert system_prompt(has_tools=True).startswith(SYSTEM_PROMPT)
    assert "data, not instructions" in system_prompt(has_tools=True)
    assert system_prompt("", has_tools=True) == ""
