from __future__ import annotations

import pytest
import yaml

from apps.runs.models import SavedPreset
from apps.runs.start import keeping
from tests.apps.runs.start.test_forms import train
from tests.factories import make_artifact, make_version

NEW = "/runs/new/train/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def inputs(db) -> dict[str, object]:
    return {"run-seed": "0", "run-base": make_artifact().pk, "run-dataset": make_version().pk}


def test_a_form_that_could_start_is_ready(engineer, inputs):
    page = engineer.post(f"{NEW}validate/", train(steps="3").data | inputs)
    assert page.status_code == 200
    assert "Ready to start" in page.content.decode()


def test_a_fault_is_422_with_a_link_to_its_field(engineer, inputs):
    page = engineer.post(f"{NEW}validate/", train(steps="0").data | inputs)
    assert page.status_code == 422
    assert 'href="#id_steps" data-problem="id_steps"' in page.content.decode()


def test_what_was_changed_is_said_as_one_types(engineer, inputs):
    page = engineer.post(f"{NEW}validate/?preset=laptop", train(steps="3").data | inputs)
    change = next(one for one in page.context["changes"] if one.name == "steps")
    assert (change.old, change.new) == ("10", "3")
    assert "changed from Laptop" in page.content.decode()


def test_the_form_is_downloaded_as_a_file_that_can_be_uploaded(engineer, inputs):
    data = train(steps="3", loss_in_clip_high="4.5").data | inputs
    answer = engineer.post(f"{NEW}yaml/", data)
    assert "attachment" in answer.headers["Content-Disposition"]
    said = yaml.safe_load(answer.content)
    assert said["config"] == {"steps": 3, "loss": {"kind": "cispo", "clip_high": 4.5}}
    assert said["inputs"] == {"base": inputs["run-base"]}


def test_a_wrong_form_has_no_file(engineer, inputs):
    answer = engineer.post(f"{NEW}yaml/", train(steps="0").data | inputs)
    assert answer.status_code == 422


def test_the_knobs_are_kept_as_a_preset(engineer):
    data = train(steps="3").data | {"preset-name": "short", "preset-description": "for haste"}
    answer = engineer.post(f"{NEW}keep/", data)
    kept = SavedPreset.objects.get()
    assert (kept.name, kept.description, kept.config) == ("short", "for haste", {"steps": 3})
    assert answer.headers["Location"] == f"{NEW}?preset={keeping.PREFIX}{kept.pk}"


def test_htmx_stays_on_the_form_when_a_preset_is_kept(engineer):
    data = train(steps="3").data | {"preset-name": "short"}
    assert "Kept as" in engineer.post(f"{NEW}keep/", data, headers=HTMX).content.decode()


@pytest.mark.parametrize(("steps", "name"), [("0", "wrong"), ("3", " ")])
def test_what_cannot_be_kept_says_why(engineer, steps, name):
    data = train(steps=steps).data | {"preset-name": name}
    answer = engineer.post(f"{NEW}keep/", data, headers=HTMX)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert not SavedPreset.objects.exists()
