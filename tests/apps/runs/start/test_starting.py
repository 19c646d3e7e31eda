from __future__ import annotations

import pytest
from django.urls import reverse

from apps.runs.models import Run
from apps.runs.start import keeping
from apps.runs.start.changes import typed
from apps.runs.start.parts import find_part
from kos.config import Train
from tests.apps.runs.start.test_forms import train
from tests.factories import make_artifact, make_run, make_version

HTMX = {"HX-Request": "true"}
NEW = "/runs/new/train/"


@pytest.fixture
def sent(db) -> dict[str, object]:
    """What a browser sends of a train form that could start."""
    data = train(steps="3").data | {"run-seed": "7", "run-name": "short", "key": "0123456789ab"}
    return data | {"run-base": make_artifact().pk, "run-dataset": make_version().pk}


def test_the_form_starts_a_run(engineer, sent):
    response = engineer.post(NEW, sent)
    run = Run.objects.get(name="short")
    assert response.headers["Location"] == reverse("runs:detail", args=[run.pk])
    assert (run.config["steps"], run.seed) == (3, 7)


def test_a_form_sent_twice_starts_one_run(engineer, sent):
    first, second = engineer.post(NEW, sent), engineer.post(NEW, sent)
    assert first.headers["Location"] == second.headers["Location"]
    assert Run.objects.filter(kind="train").count() == 1


def test_a_form_that_was_changed_and_sent_again_starts_another(engineer, sent):
    engineer.post(NEW, sent)
    engineer.post(NEW, sent | {"steps": "4"})
    assert Run.objects.filter(kind="train").count() == 2


def test_a_wrong_form_starts_nothing_and_names_every_fault(engineer):
    data = train(steps="0", lora_in_rank="0").data | {"run-seed": "7"}
    page = engineer.post(NEW, data)
    assert page.status_code == 422
    places = [fault.place for fault in page.context["faults"]]
    assert places == ["Base", "Dataset", "Steps", "Lora / Rank"]
    assert not Run.objects.filter(kind="train").exists()


def test_what_cannot_be_had_together_is_a_fault(engineer, sent):
    engine = typed(find_part(Train, "engine", "tinker")) | {"engine-kind": "tinker"}
    data = sent | engine | {"sampling-temperature": "0.7"}
    page = engineer.post(NEW, data)
    assert page.status_code == 422
    assert "which the engine tinker cannot" in page.context["faults"][0].error


def test_a_fresh_form_says_what_is_missing_without_scolding(engineer):
    page = engineer.get(NEW)
    assert [problem.place for problem in page.context["problems"]] == ["Base", "Dataset"]
    assert page.context["faults"] == []
    assert "There is none yet." in page.content.decode()


def test_a_menu_reloads_its_knobs(engineer):
    path = reverse("runs:part", args=["base", "source"])
    page = engineer.get(path, {"source-kind": "folder"})
    assert 'name="source-path"' in page.content.decode()
    assert "knobs" in page.headers["HX-Trigger"]
    assert engineer.get(path, {"source-kind": "nothing"}).status_code == 404


def test_back_at_the_first_kind_the_knobs_are_those_of_the_start(engineer):
    kept = keeping.keep_preset(
        engineer.user, "train", "x", "", {"loss": {"kind": "cispo", "clip_high": 4.5}}
    )
    path = reverse("runs:part", args=["train", "loss"])
    page = engineer.get(path, {"loss-kind": "cispo", "preset": f"kept-{kept.pk}"})
    assert 'value="4.5"' in page.content.decode()


def test_a_clone_starts_from_the_knobs_of_its_run(engineer):
    config = train(steps="77")
    assert config.is_valid()
    run = make_run("train", config=config.config.model_dump(mode="json"))
    page = engineer.get(NEW, {"clone": run.pk})
    assert page.context["form"]["steps"].value() == 77
    assert page.context["changes"] == []


def test_a_kept_preset_that_no_longer_fits_gives_the_defaults(engineer):
    kept = engineer.user.presets.create(kind="train", name="old", config={"stepz": 1})
    page = engineer.get(NEW, {"preset": f"kept-{kept.pk}"})
    assert page.context["form"]["steps"].value() == 10
    assert "knobs of an older Kos" in page.content.decode()


def test_the_url_can_choose_an_input(engineer):
    older, _newer = make_artifact(), make_artifact()
    page = engineer.get(NEW, {"base": older.pk})
    assert f'<option value="{older.pk}" selected>' in page.content.decode()


def test_an_unknown_kind_is_404(engineer):
    assert engineer.get("/runs/new/magic/").status_code == 404


@pytest.mark.parametrize("action", ["validate", "cost", "yaml", "keep", "edit"])
def test_what_helps_is_for_engineers_by_post(engineer, clinician, stranger, action):
    path = f"{NEW}{action}/"
    assert engineer.get(path).status_code == 405
    assert clinician.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]


def test_a_reset_button_works_without_javascript(engineer, sent):
    page = engineer.post(f"{NEW}?preset=laptop", sent | {"edit": "steps reset 0"})
    assert page.status_code == 200
    assert str(page.context["form"]["steps"].value()) == "10"
    assert not Run.objects.filter(kind="train").exists()


def test_htmx_gets_the_part_that_was_reset(engineer, sent):
    data = sent | {"loss-clip_high": "9", "edit": "loss reset 0"}
    page = engineer.post(f"{NEW}edit/", data, headers=HTMX)
    assert page.context["part"]["clip_high"].value() == "5.0"
