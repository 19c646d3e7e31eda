from __future__ import annotations

import pytest
from django.urls import reverse

from apps.datasets.models import DatasetVersion
from apps.datasets.services import keep_version
from apps.evals.benchmarks import load_tasks, versions_of
from apps.runs.presets import PRESETS
from kos.data.rubrics import Provenance
from kos.evals.benchmarks import BENCHMARKS
from kos.evals.benchmarks.base import find
from tests.apps.evals.conftest import make_task

PAGE = reverse("evals:benchmarks")
LOAD = reverse("evals:load_benchmark", args=["calculators"])


def test_the_page_shows_every_benchmark_with_its_source(engineer, reviewer):
    page = engineer.get(PAGE).content.decode()
    for cls in BENCHMARKS:
        assert cls.model_fields["kind"].default in page
    assert "simple-evals: mean over examples, then clip" in page
    assert "2025-05-07-06-14-12_oss_eval.jsonl" in page
    assert "Load" not in reviewer.get(PAGE).content.decode().partition("<main")[2]


def test_the_page_opens_for_no_others(stranger, clinician):
    assert "/sign-in/" in stranger.get(PAGE).headers["Location"]
    assert clinician.get(PAGE).status_code == 403
    assert stranger.post(LOAD).status_code == 302
    assert DatasetVersion.objects.count() == 0


def test_only_engineers_load_and_only_by_post(engineer, reviewer, clinician):
    assert reviewer.post(LOAD).status_code == 403
    assert clinician.post(LOAD).status_code == 403
    assert engineer.get(LOAD).status_code == 405
    assert engineer.post(PAGE).status_code == 405


def test_loading_keeps_the_tasks_once(engineer):
    for _ in range(2):
        assert engineer.post(LOAD).headers["Location"] == f"{PAGE}#calculators"
    version = DatasetVersion.objects.get()
    assert version.examples.count() == 90
    assert str(version) == "Benchmark: calculators v1"
    assert [*versions_of(find("calculators"))] == [version]


@pytest.mark.parametrize("kind", ["healthbench", "nothing"])
def test_what_does_not_ship_cannot_be_loaded(engineer, kind):
    assert engineer.post(reverse("evals:load_benchmark", args=[kind])).status_code == 404


def test_start_opens_a_filled_form(engineer):
    version = load_tasks(find("physician_tasks"))
    page = engineer.get(PAGE).content.decode()
    start = f"/runs/new/evaluate/?preset=benchmark-physician_tasks&amp;dataset={version.pk}"
    assert start in page
    form = engineer.get(start.replace("&amp;", "&")).content.decode()
    assert 'value="262144"' in form and f'value="{version.pk}" selected' in form


def test_every_benchmark_of_prompts_is_a_preset():
    assert {name for name in PRESETS if name.startswith("benchmark-")} == {
        f"benchmark-{cls.model_fields['kind'].default}"
        for cls in BENCHMARKS
        if not cls.is_of_labels
    }


def kept(name: str, importer: str, source: str) -> DatasetVersion:
    origin = Provenance(importer=importer)
    task = make_task(name).model_copy(update={"provenance": origin})
    return keep_version(name, [task], source=source)


def test_an_imported_file_is_found_by_its_format_and_name(db):
    hard = kept("a", "healthbench", "hard_2025-05-08-21-00-10.jsonl")
    kept("b", "healthbench", "a slice of my own")
    professional = kept("c", "healthbench_professional", "anything")
    assert [*versions_of(find("healthbench_hard"))] == [hard]
    assert [*versions_of(find("healthbench"))] == []
    assert [*versions_of(find("healthbench_professional"))] == [professional]
