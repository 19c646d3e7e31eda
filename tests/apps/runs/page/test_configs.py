"""The config of a run to read, beside another, and as a file."""

from __future__ import annotations

import json

import yaml
from django.urls import reverse

from apps.runs.models import RunInput
from apps.runs.page import configs
from apps.runs.start import keeping
from kos.config import JOBS
from tests.factories import make_artifact, make_run, make_user


def made(**knobs):
    config = JOBS["train"]().model_dump(mode="json") | knobs
    return make_run("train", config=config, status="done")


def get(client, run, **query):
    return client.get(reverse("runs:config", args=[run.pk]), query)


def test_every_knob_stands_in_its_part(engineer):
    page = get(engineer, made(steps=77))
    titles = [group.title for group in page.context["groups"]]
    assert titles[0] == "The run"
    assert "Sampling" in titles
    assert "77" in page.content.decode()


def test_beside_the_defaults_only_what_differs_is_shown(engineer):
    page = get(engineer, made(steps=77), against="defaults", only="1")
    knobs = [knob for group in page.context["groups"] for knob in group.knobs]
    assert [(knob.path, knob.value) for knob in knobs] == [("steps", "77")]
    assert knobs[0].was == str(JOBS["train"]().steps)


def test_another_run_can_stand_beside(engineer):
    other = made(steps=5)
    page = get(engineer, made(steps=6), against=f"run:{other.pk}")
    assert page.context["other"].num_changes == 1


def test_without_a_word_the_nearest_start_is_taken(engineer):
    assert get(engineer, made()).context["other"].key == "defaults"


def test_nested_knobs_and_lists_are_compared(db):
    run = made()
    other = JOBS["train"].model_validate({"kind": "train", "lora": {"rank": 3}})
    groups = configs.groups_of(run, other.model_dump(mode="json"))
    changed = [knob.path for group in groups for knob in group.knobs if knob.is_changed]
    assert changed == ["lora.rank"]


def test_a_config_of_an_older_kos_is_still_shown(engineer):
    page = get(engineer, make_run("train", config={"kind": "train", "gone": 3}))
    assert "written by an older Kos" in page.content.decode()


def test_the_files_would_start_the_same_run(engineer):
    run = made(steps=77)
    RunInput.objects.create(run=run, name="base", artifact=make_artifact())
    texts = [
        engineer.get(reverse("runs:config_file", args=[run.pk, form])).content
        for form in ("json", "yaml")
    ]
    found, same = json.loads(texts[0]), yaml.safe_load(texts[1])
    assert found == same
    assert (found["config"]["steps"], found["kind"]) == (77, "train")
    assert found["inputs"] == {"base": run.inputs.get().artifact_id}


def test_another_form_is_404(engineer):
    path = reverse("runs:config_file", args=[made().pk, "xml"])
    assert engineer.get(path).status_code == 404


def test_a_preset_that_one_kept_can_stand_beside(engineer):
    config = {"kind": "train", "steps": 5}
    kept = keeping.keep_preset(engineer.user, "train", "Mine", "", config)
    keeping.keep_preset(make_user("bob"), "train", "Another's", "", config)
    page = get(engineer, made(steps=6), against=f"preset:kept-{kept.pk}")
    assert (page.context["other"].label, page.context["other"].num_changes) == ("Preset Mine", 1)
    assert not any("Another's" in one.label for one in page.context["others"])
