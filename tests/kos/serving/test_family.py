from __future__ import annotations

import json

import pytest

from kos.serving.family import dialect_of, dialect_of_name


@pytest.mark.parametrize(
    ("template", "dialect"),
    [
        ("<|im_user|>user<|im_middle|>{{ text }}<|im_end|>", "kimi"),
        ("<|im_start|>user\n{{ text }}<|im_end|>", "hermes"),
        ("[INST]{{ text }}[/INST]", "server"),
    ],
)
def test_the_template_s_markers_tell_the_family(tmp_path, template, dialect):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    assert dialect_of(tmp_path) == dialect


def test_a_kimi_configuration_is_enough(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "kimi_k25"}')
    assert dialect_of(tmp_path) == "kimi"


def test_a_folder_that_says_nothing_is_asked_in_its_server_s_words(tmp_path):
    assert dialect_of(tmp_path) == "server"


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("moonshotai/Kimi-K2.5", "kimi"),
        ("Qwen/Qwen3-8B", "hermes"),
        ("gpt-5", "server"),
    ],
)
def test_a_name_elsewhere_promises_a_family(name, dialect):
    assert dialect_of_name(name) == dialect
