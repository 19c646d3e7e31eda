from __future__ import annotations

import pytest

from apps.runs.presets import PRESETS
from kos.config import JOBS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_valid_config_of_its_kind(name: str) -> None:
    preset = PRESETS[name]
    JOBS[preset.kind].model_validate({"kind": preset.kind, **preset.config})


def test_stage_one_has_the_numbers_of_the_article() -> None:
    config = JOBS["train"].model_validate({"kind": "train", **PRESETS["kos1-stage1"].config})
    numbers = config.model_dump()
    assert (numbers["groups"], numbers["group_size"], numbers["substeps"]) == (32, 8, 4)
    assert (numbers["lora"]["rank"], numbers["reward"]["gate"]) == (44, 0.68)
    assert numbers["reward"]["output"] == {"free": 1500, "maximum": 3000, "beta": 0.17}
