from __future__ import annotations

import json

import pytest

from kos.config import Survival
from kos.data.rubrics import RubricItem, RubricTask, Turn
from kos.errors import UserError
from kos.events import LocalJob, Note, Saved
from kos.weights.formats.int4 import Int4
from kos.weights.formats.int4_unbiased import Int4ActivationAware, Int4Stochastic
from kos.weights.survival.job import survive
from tests.kos.weights.models import make_llama, make_peft

SMALL = Survival(
    formats=(Int4(), Int4Stochastic(requantise_base=True), Int4ActivationAware()),
    prompts=2,
    greedy_tokens=3,
    layers=1,
    system_prompt="",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival")
    base = make_llama(folder / "base")
    make_peft(base, folder / "adapter", target_modules=["up_proj", "o_proj"])
    item = RubricItem(key="a", text="Says it.", points=1)
    tasks = [
        RubricTask(
            id=str(i),
            messages=(Turn(role="user", content="The patient has fever."),),
            rubric=(item,),
            reference="Rest and fluids.",
            split="train" if i % 2 else "test",
        )
        for i in range(4)
    ]
    (folder / "d.jsonl").write_text("\n".join(task.model_dump_json() for task in tasks))
    return folder


def run(made, folder, config=SMALL, **inputs):
    given = {"base": made / "base", "adapter": made / "adapter", **inputs}
    job = LocalJob(folder, given)
    survive(config, job)
    return job, json.loads((folder / "survival.json").read_text())


def test_the_report_has_weights_answers_gate_and_advice(made, tmp_path):
    job, report = run(made, tmp_path, dataset=made / "d.jsonl")
    kinds = [line["kind"] for line in report["formats"]]
    assert kinds == ["int4", "int4_stochastic"]
    for line in report["formats"]:
        assert line["behaviour"]["parity"]["num_prompts"] == 2
        assert "slope" in line["all"]
        assert "passed" in line["gate"]
    assert report["sample"] == {
        "num_measured": 2, "num_changed": 4, "experts": 2,
        "kinds": ["mlp.up_proj", "self_attn.o_proj"], "layers": [1],
    }  # fmt: skip
    saved = next(event for event in job.events if isinstance(event, Saved))
    assert saved.artifact == "report"
    assert saved.summary["advice"] == report["advice"]["label"]


def test_a_format_that_the_base_does_not_allow_is_left_out_in_words(made, tmp_path):
    job, _ = run(made, tmp_path, dataset=made / "d.jsonl")
    notes = " ".join(event.text for event in job.events if isinstance(event, Note))
    assert "Left out INT4 in place, by activations" in notes


def test_without_a_dataset_the_weights_alone_are_measured(made, tmp_path):
    _, report = run(made, tmp_path)
    assert "behaviour" not in report["formats"][0]
    assert "misl" in report["advice"]["sentences"][0] or report["advice"]["kind"] == "online_lora"


def test_a_job_taken_up_again_does_no_format_twice(made, tmp_path):
    _, report = run(made, tmp_path, dataset=made / "d.jsonl")
    part = tmp_path / "survival.part.json"
    kept = json.loads(part.read_text())
    kept["formats"][0]["behaviour"]["kl"]["mean"] = 42.0
    del kept["formats"][1]["behaviour"]
    part.write_text(json.dumps(kept))
    _, again = run(made, tmp_path, dataset=made / "d.jsonl")
    assert again["formats"][0]["behaviour"]["kl"]["mean"] == 42.0
    assert again["formats"][1]["behaviour"] == report["formats"][1]["behaviour"]


def test_an_adapter_that_no_format_touches_is_told(made, tmp_path):
    config = SMALL.model_copy(update={"formats": (Int4(quantise=("*q_proj*",)),)})
    with pytest.raises(UserError, match="changes no weight"):
        run(made, tmp_path, config)
