from __future__ import annotations

import pytest

from apps.runs.start.inputs import InputsForm
from apps.runs.start.parts import config_form, find_part
from kos.config import JOBS, Evaluate, Export, ImportBase, Pipeline, Train
from tests.factories import make_artifact, make_version


def typed(form) -> dict[str, object]:
    """What a browser would send of an untouched form."""
    data = {}
    for part in form.all_forms():
        for field in part:
            value = field.value()
            if isinstance(value, (list, tuple)):
                value = "\n".join(value)
            if value is not None and value is not False:
                data[field.html_name] = str(value)
    return data


@pytest.mark.parametrize("kind", JOBS)
def test_an_untouched_form_gives_the_defaults_back(kind):
    model = JOBS[kind]
    start = model.model_validate({"kind": kind})
    blank = config_form(model, initial=start.model_dump(mode="json"))
    form = config_form(model, typed(blank))
    assert form.is_valid(), form.problems()
    assert form.config == start


def train(**changes: object):
    blank = config_form(Train, initial=Train().model_dump(mode="json"))
    return config_form(
        Train, typed(blank) | {k.replace("_in_", "-"): v for k, v in changes.items()}
    )


def test_a_knob_of_a_nested_config_arrives():
    form = train(lora_in_rank="44")
    assert form.is_valid()
    assert form.config.lora.rank == 44


def test_a_knob_of_a_choice_arrives():
    form = train(loss_in_clip_high="4.5")
    assert form.is_valid()
    assert form.config.loss.clip_high == 4.5


def test_a_number_out_of_range_is_an_error_on_its_field():
    form = train(steps="0")
    assert not form.is_valid()
    assert "steps" in form.errors


def test_what_only_pydantic_knows_lands_on_its_field():
    form = train(rewards_in_0_in_response_in_beta="-1", sampling_in_top_p="0")
    assert not form.is_valid()
    assert [place for _, place, _ in form.problems()] == ["Rewards 1 / Response / Beta"]


def test_an_exclusive_limit_lands_on_its_field():
    form = train(sampling_in_top_p="0")
    assert not form.is_valid()
    assert form.problems()[0][0] == "id_sampling-top_p"


def test_an_unchecked_box_is_false():
    assert Pipeline().warm_start
    form = config_form(Pipeline, initial=Pipeline().model_dump(mode="json"))
    data = typed(form)
    del data["warm_start"]
    bound = config_form(Pipeline, data)
    assert bound.is_valid()
    assert bound.config.warm_start is False


def test_name_patterns_are_lines():
    blank = config_form(Export, initial=Export().model_dump(mode="json"))
    form = config_form(Export, typed(blank) | {"format-keep": "*gate*\r\n\r\n *head* "})
    assert form.is_valid(), form.problems()
    assert form.config.format.keep == ("*gate*", "*head*")


def test_another_kind_brings_its_own_knobs():
    blank = config_form(ImportBase, initial=ImportBase().model_dump(mode="json"))
    form = config_form(ImportBase, typed(blank) | {"source-kind": "folder", "source-path": "/m"})
    assert form.is_valid()
    assert form.config.source.path == "/m"


def test_a_part_is_found_by_its_path():
    assert find_part(ImportBase, "source", "folder").knobs[0].name == "path"
    assert find_part(Pipeline, "train-loss", "cispo").prefix == "train-loss"


@pytest.mark.parametrize(
    ("path", "kind"), [("source", "nothing"), ("lora", "x"), ("no-such", "x")]
)
def test_a_part_that_does_not_exist_is_none(path, kind):
    assert find_part(ImportBase, path, kind) is None


def test_inputs_are_menus_of_what_fits(db):
    base, adapter = make_artifact("base"), make_artifact("adapter")
    make_version()
    form = InputsForm(Train)
    assert [*form.fields["base"].queryset] == [base]
    assert [*form.fields["adapter"].queryset] == [adapter]


def test_inputs_become_the_arguments_of_launch(db):
    base, version = make_artifact("base"), make_version()
    data = {"run-seed": "3", "run-base": str(base.pk), "run-dataset": str(version.pk)}
    form = InputsForm(Train, data)
    assert form.is_valid(), form.errors
    assert form.given == {"name": "", "seed": 3, "inputs": {"base": base}, "dataset": version}


def test_a_knob_called_model_is_a_field_like_any_other() -> None:
    part = find_part(Evaluate, "grader", "judge")
    assert part is not None
    assert part["model"].value() == "judge"
