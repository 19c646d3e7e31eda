"""Datasets going out, held against each other, and label sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from apps.datasets.models import DatasetVersion, LabelSet
from tests.apps.datasets.test_views import row, task, upload
from tests.factories import make_version

LABELS = {
    "prompt": [{"role": "user", "content": "secret question"}],
    "completion": "secret answer",
    "rubric": "secret criterion",
    "category": "hedging",
    "binary_labels": [True, False],
    "canary": "x",
}
TEXT = "My father takes warfarin and was given clarithromycin for his chest today"


@pytest.fixture(autouse=True)
def uploads(tmp_path, settings):
    settings.VAR = tmp_path


def body(response) -> str:
    return b"".join(response.streaming_content).decode()


def send(client, *rows: object, name: str = "rows.jsonl", **more: str):
    page = client.post(
        reverse("datasets:import"), {"name": "mine", "file": upload(*rows, name=name), **more}
    )
    ticket = page.context.get("ticket", "")
    saved = client.post(
        reverse("datasets:save"), {"name": "mine", "ticket": ticket, **more}, follow=True
    )
    return page, saved


def paths(version: DatasetVersion) -> list[str]:
    return [
        reverse("datasets:overlap", args=[version.pk]),
        reverse("datasets:export", args=[version.pk, "kos"]),
    ]


def test_an_engineer_exports_and_a_reviewer_only_reads(engineer, reviewer, stranger):
    overlap, export = paths(make_version(task("a")))
    assert engineer.get(overlap).status_code == reviewer.get(overlap).status_code == 200
    assert engineer.get(export).status_code == 200
    assert reviewer.get(export).status_code == 403
    assert stranger.get(overlap).headers["Location"].startswith("/sign-in/")


def test_pages_of_transfer_are_read_only(engineer):
    for path in paths(make_version(task("a"))):
        assert engineer.post(path).status_code == 405


def test_an_export_holds_the_rows_that_may_leave(engineer):
    secret = task("s", text="secret question").model_copy(update={"restricted": True})
    version = make_version(task("a"), secret)
    for format in ("kos", "healthbench", "verifiers"):
        text = body(engineer.get(reverse("datasets:export", args=[version.pk, format])))
        assert len(text.splitlines()) == 1
        assert "secret" not in text


def test_an_unknown_export_is_404(engineer):
    version = make_version(task("a"))
    assert engineer.get(reverse("datasets:export", args=[version.pk, "xml"])).status_code == 404


def test_overlap_is_shown_by_id_and_never_by_text(engineer):
    train = make_version(task("copied", text=TEXT))
    held_out = make_version(task("original", text=TEXT), is_restricted=True)
    path = reverse("datasets:overlap", args=[train.pk])
    page = engineer.get(path, {"evaluation": held_out.pk, "threshold": "0.3"})
    assert [pair.evaluation_id for pair in page.context["page"]] == ["original"]
    assert "warfarin" not in page.content.decode()


def test_within_a_version_the_train_split_is_held_against_the_rest(engineer):
    version = make_version(
        task("a", text=TEXT), task("b", split="test", text=TEXT), task("c", text=TEXT)
    )
    path = reverse("datasets:overlap", args=[version.pk])
    page = engineer.get(path, {"evaluation": version.pk, "threshold": "0.3"})
    assert {pair.evaluation_id for pair in page.context["page"]} == {"b"}


def test_labels_become_a_label_set_whose_text_no_page_shows(engineer):
    preview, saved = send(engineer, LABELS, {"completion": "x", "binary_labels": []})
    assert preview.context["problems"][0]["line"] == 2
    found = LabelSet.objects.get()
    assert (found.is_restricted, found.answers.get().num_met) == (True, 1)
    for page in (preview, saved, engineer.get(reverse("datasets:list"))):
        assert "secret" not in page.content.decode()


def test_the_same_labels_are_kept_once(engineer):
    send(engineer, LABELS)
    send(engineer, LABELS)
    assert LabelSet.objects.count() == 1


def test_a_finished_evaluation_is_sent_to_its_own_import(engineer):
    graded = {"prompt_id": "a", "rubric_items": [{"criteria_met": True}]}
    page = engineer.post(reverse("datasets:import"), {"name": "x", "file": upload(graded)})
    assert page.status_code == 400
    assert "import it under Evaluations" in page.content.decode()


def test_fields_named_by_hand_are_kept_until_the_file_is_saved(engineer):
    own = {"ask": "What now?", "right": "4"}
    named = {"map-prompt": "ask", "map-answer": "right", "map-verifier": "numeric"}
    preview, _ = send(engineer, own, **named)
    assert preview.context["told"]["fields"]["answer"] == "right"
    saved = DatasetVersion.objects.get().examples.get().rubric_task
    assert saved.verifier is not None
    assert (saved.verifier.kind, saved.verifier.answer) == ("numeric", "4")


def test_a_rubric_in_yaml_is_imported_with_its_prompt(engineer):
    text = '- weight: 5\n  requirement: "Says so"'
    send(engineer, text, name="rubric.yaml", query="What now?")
    assert DatasetVersion.objects.get().examples.get().prompt == "What now?"


def test_what_is_odd_is_told_before_anything_is_saved(engineer):
    faults = {"query": "q", "rubric": [{"weight": -5, "requirement": "Lies"}]}
    page = engineer.post(reverse("datasets:import"), {"name": "x", "file": upload(faults)})
    assert "every rubric item is negative" in page.content.decode()
    assert not DatasetVersion.objects.exists()


def test_a_task_with_a_verifier_alone_has_its_page(engineer):
    send(engineer, {"prompt": "2+2?", "answer": 4})
    example = DatasetVersion.objects.get().examples.get()
    page = engineer.get(reverse("datasets:example", args=[example.pk])).content.decode()
    assert "numeric" in page


def test_rows_remember_where_they_came_from(engineer):
    send(engineer, row("a"))
    origin = DatasetVersion.objects.get().examples.get().rubric_task.provenance
    assert origin is not None
    assert (origin.source, origin.importer) == ("rows.jsonl", "kos")


def test_the_api_exports_and_checks_overlap(engineer, reviewer):
    version = make_version(task("a", text=TEXT), task("b", split="test", text=TEXT))
    base = f"/api/datasets/{version.pk}"
    lines = body(engineer.get(f"{base}/export/?format=healthbench")).splitlines()
    assert json.loads(lines[0])["prompt_id"] == "a"
    assert reviewer.get(f"{base}/export/").status_code == 403
    found = reviewer.get(f"{base}/overlap/?evaluation={version.pk}").json()
    assert [pair["train_id"] for pair in found["items"]] == ["a"]


def test_the_api_imports_labels(engineer, reviewer):
    form = {"name": "meta", "file": upload(LABELS)}
    assert engineer.post("/api/datasets/labels/", form).json()["num_labels"] == 2
    form = {"name": "meta", "file": upload(LABELS)}
    assert reviewer.post("/api/datasets/labels/", form).status_code == 403


@pytest.mark.django_db
def test_the_command_imports_a_file_and_says_what_it_left_out(tmp_path: Path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row("a")) + "\n{}\n")
    call_command("import_dataset", "mine", str(path))
    said = capsys.readouterr().out
    assert "mine v1: 1 prompts (kos)" in said
    assert "line 2: left out" in said
    with pytest.raises(CommandError, match="nothing at"):
        call_command("import_dataset", "mine", str(tmp_path / "none"))
