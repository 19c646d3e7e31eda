from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.evals import answers, importing
from apps.runs.models import Run
from apps.traces.models import Trace
from kos.errors import UserError
from tests.factories import make_user


def row(name: str, *met: bool, **more: object) -> dict[str, object]:
    items = [
        {
            "criterion": f"Criterion {n}.",
            "points": points,
            "tags": ["axis:accuracy"],
            "criteria_met": said,
        }
        for n, (points, said) in enumerate(zip((7, 5, 10, -6), met, strict=True))
    ]
    return {
        "prompt_id": name,
        "prompt": [{"role": "user", "content": "Which dose?"}],
        "example_tags": ["theme:hedging"],
        "completion": "Take 5 mg.",
        "rubric_items": items,
    } | more


ROWS = [row("a", True, False, True, True), row("b", True, True, True, False)]


def write(folder: Path, rows: list[dict[str, object]]) -> Path:
    path = folder / "graded.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in rows))
    return path


@pytest.mark.django_db
def test_results_from_elsewhere_become_a_finished_evaluation(tmp_path):
    run = importing.import_finished(make_user(), write(tmp_path, ROWS), name="SE", model="gpt")
    assert (run.status, run.kind) == ("done", "evaluate")
    found = answers.of_run(run)
    assert [answer.share for answer in found] == [0.5, 1.0]
    assert found[0].slices["theme"] == "hedging"


@pytest.mark.django_db
def test_text_under_a_canary_is_not_kept(tmp_path):
    rows = [row("a", True, False, True, True, canary="healthbench:x")]
    run = importing.import_finished(make_user(), write(tmp_path, rows), name="SE")
    trace = Trace.objects.get(run=run)
    assert (trace.is_restricted, trace.messages, trace.score) == (True, [], 0.5)
    assert "Criterion" not in trace.grades.first().text


@pytest.mark.django_db
def test_a_bad_line_is_named_and_nothing_is_kept(tmp_path):
    rows = [ROWS[0], {"prompt_id": "b"}]
    with pytest.raises(UserError, match="line 2"):
        importing.import_finished(make_user(), write(tmp_path, rows), name="SE")
    assert not Run.objects.exists()


def test_a_file_is_uploaded(engineer, reviewer, tmp_path):
    data = write(tmp_path, ROWS).read_bytes()
    body = {"name": "SE", "file": SimpleUploadedFile("gpt.jsonl", data)}
    assert reviewer.get("/evals/import/").status_code == 403
    made = engineer.post("/evals/import/", body)
    assert made.headers["Location"] == f"/evals/run/{Run.objects.get().pk}/"
    assert Trace.objects.first().model == "gpt"


def test_a_file_that_cannot_be_used_is_an_error_on_its_field(engineer):
    body = {"name": "SE", "file": SimpleUploadedFile("x.jsonl", b"{]")}
    page = engineer.post("/evals/import/", body)
    assert page.status_code == 422
    assert page.context["form"].errors["file"]
