from __future__ import annotations

import gzip
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.datasets.models import DatasetVersion
from kos.data.rubrics import Check, RubricItem, RubricTask, Turn
from tests.factories import make_version

CHECK = Check(any_of=("hold", "omit"))


def task(name: str, *, split: str = "train", text: str = "INR 6.2, what now?") -> RubricTask:
    items = (
        RubricItem(key="hold", text="Holds the dose.", points=5, check=CHECK),
        RubricItem(key="vague", text="Is vague.", points=-3),
    )
    turns = (Turn(role="user", content=text),)
    return RubricTask(id=name, messages=turns, rubric=items, split=split, specialty="haematology")


def upload(*rows: object, name: str = "rows.jsonl") -> SimpleUploadedFile:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()
    return SimpleUploadedFile(name, gzip.compress(text) if name.endswith(".gz") else text)


def row(name: str) -> dict[str, object]:
    return task(name).model_dump(mode="json", exclude_defaults=True)


@pytest.fixture(autouse=True)
def uploads(tmp_path, settings):
    settings.VAR = tmp_path


def pages(version: DatasetVersion) -> list[str]:
    example = version.examples.first()
    return [
        reverse("datasets:list"),
        reverse("datasets:detail", args=[version.pk]),
        reverse("datasets:example", args=[example.pk]),
    ]


def test_every_page_opens_for_engineers_and_reviewers(engineer, reviewer):
    for path in pages(make_version(task("a"))):
        assert engineer.get(path).status_code == 200
        assert reviewer.get(path).status_code == 200


def test_no_page_opens_for_others(stranger, clinician):
    for path in [*pages(make_version(task("a"))), reverse("datasets:import")]:
        assert stranger.get(path).headers["Location"].startswith("/sign-in/")
        assert clinician.get(path).status_code == 403


def test_pages_are_read_only(engineer):
    for path in pages(make_version(task("a"))):
        assert engineer.post(path).status_code == 405


def test_saving_needs_a_post(engineer):
    assert engineer.get(reverse("datasets:save")).status_code == 405
    assert engineer.get(reverse("datasets:sample")).status_code == 405


def test_only_engineers_import(reviewer):
    assert reviewer.get(reverse("datasets:import")).status_code == 403


def test_a_version_is_filtered_by_split(engineer):
    version = make_version(task("a"), task("b", split="test"))
    page = engineer.get(reverse("datasets:detail", args=[version.pk]), {"split": "test"})
    assert [example.external_id for example in page.context["page"]] == ["b"]


def test_an_unknown_filter_value_shows_everything(engineer):
    version = make_version(task("a"), task("b"))
    page = engineer.get(reverse("datasets:detail", args=[version.pk]), {"split": "nonsense"})
    assert len(page.context["page"]) == 2


def test_an_example_says_its_check_as_a_sentence(engineer):
    example = make_version(task("a")).examples.first()
    page = engineer.get(reverse("datasets:example", args=[example.pk])).content.decode()
    assert "The answer says one of “hold”, “omit”." in page
    assert "A judge decides." in page


def test_restricted_text_is_never_on_a_page(engineer):
    version = make_version(task("a", text="secret benchmark"), is_restricted=True)
    for path in pages(version):
        page = engineer.get(path).content.decode()
        assert "secret benchmark" not in page
        assert "Holds the dose" not in page


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_an_import_is_previewed_and_then_saved(engineer, name):
    form = {"name": "mine", "file": upload(row("a"), "not json", name=name)}
    page = engineer.post(reverse("datasets:import"), form)
    assert page.context["report"].problems[0].line == 2
    assert DatasetVersion.objects.count() == 0
    engineer.post(reverse("datasets:save"), {"name": "mine", "ticket": page.context["ticket"]})
    assert DatasetVersion.objects.get().source == name


def test_a_file_without_a_usable_line_is_refused_beside_the_field(engineer):
    form = {"name": "mine", "file": upload("{}")}
    page = engineer.post(reverse("datasets:import"), form)
    assert page.status_code == 400
    assert "no usable prompt" in page.content.decode()


def test_a_ticket_is_good_for_its_own_user_alone(engineer, admin):
    form = {"name": "mine", "file": upload(row("a"))}
    ticket = engineer.post(reverse("datasets:import"), form).context["ticket"]
    admin.post(reverse("datasets:save"), {"name": "mine", "ticket": ticket})
    assert DatasetVersion.objects.count() == 0


def test_the_preview_hides_benchmark_text(engineer):
    secret = row("a") | {"restricted": True}
    form = {"name": "mine", "file": upload(secret)}
    page = engineer.post(reverse("datasets:import"), form).content.decode()
    assert "INR 6.2, what now?" not in page
