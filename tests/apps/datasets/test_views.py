from __future__ import annotations

import gzip
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.datasets.models import Dataset, DatasetVersion
from kos.data.rubrics import Check, RubricItem, RubricTask, Turn
from tests.factories import make_run, make_version

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
        reverse("datasets:dataset", args=[version.dataset_id]),
        reverse("datasets:detail", args=[version.pk]),
        reverse("datasets:example", args=[example.pk]),
    ]


def test_every_page_opens_for_everybody_with_an_account(engineer, reviewer, clinician):
    for path in pages(make_version(task("a"))):
        for persona in (engineer, reviewer, clinician):
            assert persona.get(path).status_code == 200


def test_no_page_opens_for_a_stranger(stranger):
    for path in [*pages(make_version(task("a"))), reverse("datasets:import")]:
        assert stranger.get(path).headers["Location"].startswith("/sign-in/")


def test_pages_are_read_only(engineer):
    for path in pages(make_version(task("a"))):
        assert engineer.post(path).status_code == 405


def test_saving_needs_a_post(engineer):
    assert engineer.get(reverse("datasets:save")).status_code == 405
    assert engineer.get(reverse("datasets:sample")).status_code == 405
    assert engineer.get(reverse("datasets:delete", args=[1])).status_code == 405


def test_only_engineers_import_and_delete(reviewer, clinician):
    for persona in (reviewer, clinician):
        assert persona.get(reverse("datasets:import")).status_code == 403
        assert persona.post(reverse("datasets:delete", args=[1])).status_code == 403


def test_the_list_shows_each_dataset_once_with_its_latest_version(engineer):
    first = make_version(task("a"))
    make_version(task("a"), task("b"), dataset=first.dataset, number=2)
    (row,) = engineer.get(reverse("datasets:list")).context["rows"]
    assert (row["version"].number, row["version"].num_examples) == (2, 2)
    assert row["facts"]["splits"] == [("train", 2)]


def test_the_list_is_searched_and_sorted(engineer):
    small, large = make_version(task("a")), make_version(task("a"), task("b"))
    path = reverse("datasets:list")
    rows = engineer.get(path, {"sort": "prompts"}).context["rows"]
    assert [row["dataset"] for row in rows] == [large.dataset, small.dataset]
    rows = engineer.get(path, {"q": small.dataset.name}).context["rows"]
    assert [row["dataset"] for row in rows] == [small.dataset]


def test_the_list_asks_as_often_for_many_datasets_as_for_few(
    engineer, django_assert_max_num_queries
):
    for _ in range(12):
        make_version(task("a"))
    with django_assert_max_num_queries(9):
        assert len(engineer.get(reverse("datasets:list")).context["rows"]) == 12


def test_a_version_page_asks_as_often_for_many_examples_as_for_few(
    engineer, django_assert_max_num_queries
):
    version = make_version(*(task(f"t{number}") for number in range(60)))
    with django_assert_max_num_queries(14):
        engineer.get(reverse("datasets:detail", args=[version.pk]))


def test_a_dataset_lists_versions_with_their_notes(engineer):
    version = make_version(task("a"), note="Doses checked by two pharmacists")
    page = engineer.get(reverse("datasets:dataset", args=[version.dataset_id]))
    assert "Doses checked by two pharmacists" in page.content.decode()


def test_a_version_names_the_runs_that_used_it(engineer, clinician):
    version = make_version(task("a"))
    make_run("train", name="warm start", dataset=version)
    path = reverse("datasets:detail", args=[version.pk])
    assert "warm start" in engineer.get(path).content.decode()
    assert "warm start" not in clinician.get(path).content.decode()


def test_a_version_that_nothing_uses_is_deleted_with_its_dataset(engineer):
    version = make_version(task("a"))
    engineer.post(reverse("datasets:delete", args=[version.pk]))
    assert not Dataset.objects.exists()


def test_a_version_that_a_run_used_stays_and_the_run_is_named(engineer):
    version = make_version(task("a"))
    make_run("train", name="warm start", dataset=version)
    page = engineer.post(reverse("datasets:delete", args=[version.pk]), follow=True)
    assert "warm start" in page.content.decode()
    assert version.examples.count() == 1


def test_a_version_is_filtered_by_split(engineer):
    version = make_version(task("a"), task("b", split="test"))
    page = engineer.get(reverse("datasets:detail", args=[version.pk]), {"split": "test"})
    assert [example.external_id for example in page.context["page"].examples] == ["b"]


def test_an_unknown_filter_value_shows_everything(engineer):
    version = make_version(task("a"), task("b"))
    page = engineer.get(reverse("datasets:detail", args=[version.pk]), {"split": "nonsense"})
    assert len(page.context["page"].examples) == 2


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
    assert page.context["problems"][0]["line"] == 2
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
