from __future__ import annotations

import pytest

from apps.runs.presets import PRESETS
from kos.config import JOBS, Train
from kos.rl.costs import estimate
from kos.rl.rewards.conciseness import ConcisenessBonus


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_valid_config_of_its_kind(name: str) -> None:
    preset = PRESETS[name]
    JOBS[preset.kind].model_validate({"kind": preset.kind, **preset.config})


def test_stage_one_has_the_numbers_of_the_article() -> None:
    config = JOBS["train"].model_validate({"kind": "train", **PRESETS["kos1-stage1"].config})
    numbers = config.model_dump()
    assert (numbers["groups"], numbers["group_size"], numbers["substeps"]) == (32, 8, 4)
    assert (numbers["lora"]["rank"], numbers["rewards"][0]["gate"]) == (44, 0.68)
    assert numbers["rewards"][0]["output"] == {"free": 1500, "maximum": 3000, "beta": 0.17}


def test_stage_two_begins_as_stage_one_and_ends_as_the_article_has_it() -> None:
    config = Train.model_validate({"kind": "train", **PRESETS["kos1-stage2"].config})
    [bonus] = config.rewards
    assert isinstance(bonus, ConcisenessBonus)
    assert bonus.at(0) == ConcisenessBonus()
    end = bonus.at(1)
    assert (end.gate, end.output.free, end.output.beta, end.response.beta) == (
        0.68,
        700,
        0.55,
        0.03,
    )
    assert 2000 <= end.output.maximum <= 2300


@pytest.mark.parametrize("name", [name for name in PRESETS if PRESETS[name].kind == "train"])
def test_a_training_preset_can_say_what_it_would_cost(name: str) -> None:
    config = Train.model_validate({"kind": "train", **PRESETS[name].config})
    cost = estimate(config, prompts=300)
    assert cost.answers == config.steps * config.groups * config.group_size
    assert cost.describe()[0].startswith(f"{cost.answers:,} answers")


@pytest.mark.parametrize(
    ("name", "engine", "sampler"),
    [
        ("kos1-stage1", "tinker", "engine"),
        ("kos1-stage2", "tinker", "engine"),
        ("kos1-lite", "torchrun", "vllm"),
        ("laptop", "local", "engine"),
        ("smoke-train", "local", "engine"),
    ],
)
def test_a_training_preset_says_where_it_computes(name: str, engine: str, sampler: str) -> None:
    config = Train.model_validate({"kind": "train", **PRESETS[name].config})
    assert (config.engine.kind, config.sampler.kind) == (engine, sampler)
