from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.runs.models import SavedPreset
from apps.runs.start import keeping
from tests.factories import make_run, make_user

PAGES = ("/runs/new/", "/presets/")
POSTS = ("/runs/new/upload/", "/presets/1/rename/", "/presets/1/delete/")


def upload(client, text: str):
    return client.post("/runs/new/upload/", {"file": SimpleUploadedFile("a.yaml", text.encode())})


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_are_for_engineers(engineer, clinician, stranger, path):
    assert engineer.get(path).status_code == 200
    assert clinician.get(path).status_code == 403
    assert "/sign-in/" in stranger.get(path).headers["Location"]
    assert engineer.post(path).status_code == 405


@pytest.mark.parametrize("path", POSTS)
def test_the_actions_are_for_engineers_by_post(engineer, clinician, stranger, path):
    assert engineer.get(path).status_code == 405
    assert clinician.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]


def names(page) -> list[str]:
    return [run.name for run in page.context["past"]]


def test_past_runs_are_ones_own_unless_everybodys_are_wanted(engineer):
    make_run(name="mine", owner=engineer.user)
    make_run(name="another's")
    assert names(engineer.get("/runs/new/")) == ["mine"]
    assert len(names(engineer.get("/runs/new/", {"whose": "all"}))) == 2


def test_past_runs_are_found_by_every_word(engineer):
    run = make_run("train", name="gout, long", owner=engineer.user, tags=["paper"])
    make_run("train", name="gout, short", owner=engineer.user)
    for words in ("gout long", str(run.pk), "paper", "LONG train"):
        assert names(engineer.get("/runs/new/", {"q": words})) == ["gout, long"]


def test_htmx_gets_the_list_of_past_runs_alone(engineer):
    page = engineer.get("/runs/new/", {"q": ""}, headers={"HX-Request": "true"})
    assert "<html" not in page.content.decode()


def test_the_chooser_asks_the_database_no_more_for_more_runs(
    engineer, django_assert_max_num_queries
):
    for number in range(12):
        make_run(name=f"run {number}", owner=engineer.user)
    with django_assert_max_num_queries(8):
        engineer.get("/runs/new/")


def test_an_uploaded_file_fills_the_form(engineer):
    answer = upload(engineer, "kind: train\nconfig: {steps: 42}\nname: from a file\nseed: 3\n")
    page = engineer.get(answer.headers["Location"])
    assert page.context["form"]["steps"].value() == 42
    assert page.context["inputs"]["name"].value() == "from a file"
    assert page.context["start"].label == "a.yaml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: trian", "there are base, synthesise"),
        ("kind: train\nconfig: {stepz: 1}", "stepz: Extra inputs are not permitted"),
        ("kind: train\nconfig: {steps: 0}", "steps: Input should be greater"),
        ("- a list", "not a mapping"),
        ("kind: train\nwhat: 1", "the file has what; known are kind, config"),
        ("a: [", "cannot be read as YAML or JSON"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as YAML or JSON"),
    ],
)
def test_a_file_that_will_not_do_says_why(engineer, text, said):
    page = upload(engineer, text)
    assert page.status_code == 422
    assert said in page.context["upload"].errors["file"][0]


def test_an_upload_that_is_not_there_any_more_is_404(engineer):
    assert engineer.get("/runs/new/train/?from=file").status_code == 404


@pytest.fixture
def kept(engineer) -> SavedPreset:
    return keeping.keep_preset(engineer.user, "train", "mine", "", {"steps": 2})


def test_a_preset_is_renamed_and_deleted(engineer, kept):
    engineer.post(f"/presets/{kept.pk}/rename/", {"name": "ours"})
    assert b"ours" in engineer.get("/presets/").content
    engineer.post(f"/presets/{kept.pk}/delete/")
    assert not SavedPreset.objects.exists()


def test_anothers_preset_is_not_there(engineer):
    other = keeping.keep_preset(make_user(), "train", "theirs", "", {})
    assert engineer.post(f"/presets/{other.pk}/rename/", {"name": "x"}).status_code == 404
    assert engineer.post(f"/presets/{other.pk}/delete/").status_code == 404
    assert b"theirs" not in engineer.get("/presets/").content


def test_an_empty_name_is_refused_with_a_sentence(engineer, kept):
    page = engineer.post(f"/presets/{kept.pk}/rename/", {"name": " "}, follow=True)
    assert "a preset needs a name" in page.content.decode()
