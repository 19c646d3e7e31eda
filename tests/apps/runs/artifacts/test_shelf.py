from __future__ import annotations

import pytest
from django.urls import reverse

from apps.runs import services
from apps.runs.artifacts import disposal, provenance, shelf
from apps.runs.models import Artifact, RunInput
from kos.errors import UserError
from tests.factories import make_artifact, make_deployment, make_run

URL = "/models/"


def names(persona, query: str = "") -> list[str]:
    answer = persona.get(f"{URL}?{query}")
    assert answer.status_code == 200
    return [artifact.name for artifact in answer.context["stretch"].rows]


@pytest.fixture
def base(db):
    return make_artifact("base", name="old base", size_bytes=900)


@pytest.fixture
def merged(base):
    fields = {"format": "bf16", "base": base, "size_bytes": 2000}
    return make_artifact("merged", name="new merged", **fields)


def test_the_pages_open_for_engineers_alone(engineer, clinician, stranger, merged):
    for path in (URL, f"{URL}{merged.pk}/"):
        assert engineer.get(path).status_code == 200
        assert clinician.get(path).status_code == 403
        assert "/sign-in/" in stranger.get(path).headers["Location"]
        assert engineer.post(path).status_code == 405


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["new merged", "old base"]),
        ("kind=base", ["old base"]),
        ("format=bf16", ["new merged"]),
        ("q=OLD", ["old base"]),
        ("q=nowhere", []),
        ("sort=old", ["old base", "new merged"]),
        ("sort=large", ["new merged", "old base"]),
        ("sort=name", ["new merged", "old base"]),
        ("files=pinned", []),
        ("kind=wrong&sort=wrong", ["new merged", "old base"]),
    ],
)
def test_filters_stand_in_the_address(engineer, merged, query, found):
    assert names(engineer, query) == found


def test_a_model_is_found_by_its_hash_its_run_and_its_number(engineer, merged):
    for words in (merged.digest[:62] + merged.digest[62:], merged.run.name, f"%23{merged.pk}"):
        assert "new merged" in names(engineer, f"q={words}")


def test_the_family_of_a_base_is_it_and_what_stems_from_it(engineer, merged, base):
    make_artifact("base", name="another base")
    assert names(engineer, f"base={base.pk}") == ["new merged", "old base"]


def test_survival_and_deployment_narrow_the_list(engineer, merged):
    make_artifact("quantised", name="measured", summary={"survival": {"all": {}}})
    make_deployment(artifact=merged)
    assert names(engineer, "survival=on") == ["measured"]
    assert names(engineer, "deployed=now") == names(engineer, "deployed=ever") == ["new merged"]
    assert "new merged" not in names(engineer, "deployed=no")


@pytest.mark.parametrize("sort", ["new", "old", "large", "name"])
def test_pages_follow_each_other_without_a_gap(engineer, sort, monkeypatch):
    monkeypatch.setattr("apps.runs.artifacts.stock.PAGE_SIZE", 2)
    run = make_run("export", status="done")
    for number in range(5):
        make_artifact("quantised", run=run, name=f"m{number % 3}", size_bytes=number // 2)
    seen, cursor = [], ""
    while cursor is not None:
        stretch = engineer.get(f"{URL}?sort={sort}&cursor={cursor}").context["stretch"]
        seen += [artifact.pk for artifact in stretch.rows]
        cursor = stretch.after
    assert len(seen) == len({*seen}) == 5


def test_the_list_asks_no_more_for_more_rows(engineer, django_assert_max_num_queries):
    for _ in range(12):
        make_deployment()
    with django_assert_max_num_queries(20):
        engineer.get(URL)


def test_storage_is_told_by_kind_without_what_was_deleted(engineer, merged, base):
    Artifact.objects.filter(pk=merged.pk).update(freed=merged.created)
    rows = engineer.get(URL).context["storage"]
    assert [(row.kind, row.size_bytes) for row in rows] == [("base", 900)]


def test_the_page_says_what_the_model_is(engineer, base):
    run = make_run("train", status="done", code_revision="abc123")
    made = make_artifact("adapter", run=run, base=base, summary={"rank": 8, "alpha": 16})
    facts = {fact.name: fact.value for fact in provenance.facts(made)}
    assert facts["Rank"] == "8"
    assert facts["Alpha"] == "16"
    assert facts["Code revision"] == "abc123"
    page = engineer.get(f"{URL}{made.pk}/").content.decode()
    assert made.digest in page
    assert "old base" in page


def test_an_export_names_its_carve_outs_and_calibration(db):
    summary = {"num_quantised": 8, "num_kept": 2, "calibration": {"num_inputs": 8, "texts": 64}}
    made = make_artifact("quantised", run=make_run("export"), summary=summary)
    facts = {fact.name: fact.value for fact in provenance.facts(made)}
    assert "*lm_head*" in facts["Kept in BF16"]
    assert facts["Quantised"] == "8 of 10 tensors"
    assert facts["Calibrated on"] == "8 inputs, texts 64"


def test_what_a_run_makes_remembers_its_base_and_format(base):
    train = make_run("train")
    RunInput.objects.create(run=train, name="base", artifact=base)
    made = services.keep_artifact(train, "adapter", "adapter", digest="0" * 64, size_bytes=1)
    export = make_run("export")
    RunInput.objects.create(run=export, name="adapter", artifact=made)
    kept = services.keep_artifact(export, "quantised", "q", digest="1" * 64, size_bytes=1)
    assert made.base == kept.base == base
    assert kept.format == "nvfp4"


def test_deployments_and_scores_stand_on_the_page(engineer, merged):
    make_deployment(artifact=merged, name="kos-here")
    run = make_run("evaluate", status="done", name="held out")
    RunInput.objects.create(run=run, name="trained", artifact=merged)
    report = {"models": [{"model": "trained", "value": 0.625}]}
    make_artifact("report", run=run, summary=report)
    page = engineer.get(f"{URL}{merged.pk}/").content.decode()
    assert "kos-here" in page
    assert "0.625" in page


def test_an_artifact_is_offered_one_button_a_job(db):
    kinds = [step.kind for step in shelf.next_steps(make_artifact("adapter"))]
    assert len(kinds) == len(set(kinds))
    assert {"train", "average", "merge", "export", "survival"} <= set(kinds)


def test_a_quantised_model_shows_its_plan_as_a_table(engineer):
    row = {"kind": "mlp.up_proj", "layers": "0-3", "num_tensors": 4, "bytes_before": 8}
    row |= {"bytes_after": 2, "quantised": True, "why": ""}
    made = make_artifact("quantised", summary={"plan": [row], "survival": {"all": {"slope": 1}}})
    page = engineer.get(f"{URL}{made.pk}/").content.decode()
    assert "Which tensor fell where" in page
    assert f"/runs/{made.run_id}/survival/" in page
    assert "survival / all" not in page


# Deleting


@pytest.fixture
def file(merged, artifacts):
    merged.location.mkdir(parents=True)
    (merged.location / "weights").write_bytes(b"w")
    return merged.location


def free(persona, artifact, **kwargs):
    return persona.post(reverse("runs:free", args=[artifact.pk]), follow=True, **kwargs)


def test_deleting_frees_the_files_and_keeps_the_row(
    engineer, merged, file, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        page = free(engineer, merged).content.decode()
    merged.refresh_from_db()
    assert not file.exists()
    assert merged.freed_by == engineer.user
    assert "files deleted" in page


def test_only_engineers_delete_and_only_by_a_form(clinician, engineer, merged):
    path = reverse("runs:free", args=[merged.pk])
    assert clinician.post(path).status_code == 403
    assert engineer.get(path).status_code == 405
    assert engineer.get(reverse("runs:pin", args=[merged.pk])).status_code == 405


def test_a_pinned_model_cannot_be_deleted(engineer, merged, file):
    engineer.post(reverse("runs:pin", args=[merged.pk]))
    assert "is pinned; unpin it first" in free(engineer, merged).content.decode()
    assert file.exists()
    engineer.post(reverse("runs:pin", args=[merged.pk]), {"unpin": "1"})
    merged.refresh_from_db()
    assert not merged.is_pinned


def test_what_answers_is_not_deleted(merged):
    make_deployment(artifact=merged, name="kos-live")
    with pytest.raises(UserError, match=r"deployment kos-live #\d+ answers with it"):
        disposal.free(merged, merged.run.owner)


def test_what_a_waiting_run_reads_is_not_deleted(merged):
    RunInput.objects.create(run=make_run("export", name="soon"), name="model", artifact=merged)
    with pytest.raises(UserError, match="run soon reads it"):
        disposal.free(merged, merged.run.owner)


def test_what_only_stopped_things_used_is_named_before_it_goes(engineer, merged):
    make_deployment(artifact=merged, name="kos-past", status="stopped")
    page = engineer.get(f"{URL}{merged.pk}/").content.decode()
    assert "could not be started again" in page
    assert disposal.free(merged, merged.run.owner) == 2000


def test_deleting_twice_is_refused(merged):
    disposal.free(merged, merged.run.owner)
    with pytest.raises(UserError, match="deleted already"):
        disposal.free(merged, merged.run.owner)


def test_a_run_cannot_start_from_deleted_files(merged):
    disposal.free(merged, merged.run.owner)
    merged.refresh_from_db()
    with pytest.raises(UserError, match="were deleted"):
        services.launch(merged.run.owner, "export", {}, inputs={"model": merged})


def test_what_was_made_of_it_is_said_to_stay(engineer, merged):
    run = make_run("export", name="the export", status="done")
    RunInput.objects.create(run=run, name="model", artifact=merged)
    page = engineer.get(f"{URL}{merged.pk}/").content.decode()
    assert "Run the export worked on it; what that made keeps its own files" in page
