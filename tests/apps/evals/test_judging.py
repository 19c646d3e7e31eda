from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from apps.datasets import services as datasets
from apps.datasets.models import LabelSet
from apps.evals import judges, services
from apps.evals.models import Judge
from apps.runs.models import Artifact, Run
from kos.data.labels import LabelledAnswer
from kos.errors import UserError
from kos.evals.calibration import Ruled, measure
from tests.factories import make_run
from workers.tasks import inputs_of

pytestmark = pytest.mark.django_db


def make_judge(name: str = "Careful", **fields: Any) -> Judge:
    given = {"url": "http://judge", "model": name.lower()} | fields
    return Judge.objects.create(name=name, **given)


def make_labels(num: int = 4) -> LabelSet:
    rows = [
        LabelledAnswer(
            id=f"row-{n}",
            prompt_id=f"p{n}",
            messages=({"role": "user", "content": "Gout?"},),
            answer="Rest.",
            criterion="Names a drug",
            met=(n % 2 == 0,),
            by=("d",),
            category="drugs",
        )
        for n in range(num)
    ]
    return datasets.keep_labels("Labels", rows, source="test")


def make_calibration(
    judge: Judge, labels: LabelSet, artifacts: Path, *, wrong: int = 1, owner: Any = None
) -> Run:
    """A finished calibration of 40 rows, the judge wrong on the first ``wrong``."""
    rows = [
        Ruled(
            id=f"r{n}",
            prompt_id=f"p{n}",
            category="<b>drugs</b>" if n < 35 else "rare",
            num_chars=100 * n,
            labels=(n % 2 == 0,),
            by=("d",),
            met=(n % 2 == 0) == (n >= wrong),
        )
        for n in range(40)
    ]
    usage = {"prompt_tokens": 900, "tokens": 90, "seconds": 4.0, "cost": 0.002}
    told = {"judge": {"name": judge.grader.name}, "usage": usage | {"cost_per_thousand": 0.05}}
    config = {"kind": "calibrate", "judge": judge.grader.model_dump(mode="json")}
    run = make_run("calibrate", status="done", label_set=labels, config=config, owner=owner)
    folder = artifacts / str(run.pk) / "calibration"
    folder.mkdir(parents=True)
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(asdict(r)) + "\n" for r in rows))
    Artifact.objects.create(
        run=run,
        kind="report",
        name="calibration",
        path=f"{run.pk}/calibration",
        digest=f"{run.pk:064x}",
        summary=told | measure(rows, seed=1, draws=100),
    )
    return run


def test_pages_by_role(engineer, reviewer, admin, clinician, stranger):
    judge = make_judge()
    pages = {
        "judges": ([], "era"),
        "judge": ([judge.pk], "era"),
        "compare_judges": ([], "era"),
        "new_judge": ([], "ea"),
        "edit_judge": ([judge.pk], "ea"),
    }
    people = {"e": engineer, "r": reviewer, "a": admin, "c": clinician}
    for name, (arguments, allowed) in pages.items():
        path = reverse(f"evals:{name}", args=arguments)
        assert "/sign-in/" in stranger.get(path).headers["Location"]
        for letter, person in people.items():
            wanted = 200 if letter in allowed else 403
            assert person.get(path).status_code == wanted, (name, letter)


@pytest.mark.parametrize("name", ["judge_status", "probe_judge", "calibrate_judge"])
def test_actions_are_engineers_posts(name, engineer, reviewer, stranger):
    path = reverse(f"evals:{name}", args=[make_judge().pk])
    assert engineer.get(path).status_code == 405
    assert reviewer.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]


def test_a_judge_is_added_on_trial(engineer):
    body = {"name": "New", "url": "http://judge", "model": "m", "asks": "item"}
    prices = {"max_tokens": 512, "prompt_price": 2, "completion_price": 8}
    engineer.post(reverse("evals:new_judge"), body | prices)
    judge = Judge.objects.get()
    assert (judge.status, judge.grader.max_tokens, judge.completion_price) == ("trial", 512, 8)


def test_trust_needs_a_reason_and_leaves_a_trace(engineer):
    judge = make_judge()
    path = reverse("evals:judge_status", args=[judge.pk])
    assert engineer.post(path, {"status": "trusted", "reason": " "}).status_code == 422
    engineer.post(path, {"status": "trusted", "reason": "kappa 0.6"})
    judge.refresh_from_db()
    change = judge.changes.get()
    assert (judge.status, change.reason, change.by) == ("trusted", "kappa 0.6", engineer.user)
    again = engineer.post(path, {"status": "trusted", "reason": "once more"})
    assert again.status_code == 422
    assert "is trusted already" in again.content.decode()


def test_a_calibration_is_queued_with_its_labels_and_prices(engineer):
    judge, labels = make_judge(prompt_price=2, asks="rubric"), make_labels()
    body = {"labels": labels.pk, "max_rows": 3, "seed": 5}
    answer = engineer.post(reverse("evals:calibrate_judge", args=[judge.pk]), body)
    run = Run.objects.get(kind="calibrate")
    assert answer.headers["Location"] == reverse("runs:detail", args=[run.pk])
    assert (run.label_set, run.seed, run.settings.max_rows) == (labels, 5, 3)
    assert (run.settings.judge.asks, run.settings.prompt_price) == ("rubric", 2)


def test_the_job_finds_the_labels_as_lines(engineer):
    labels = make_labels()
    run = services.start_calibration(make_judge(), labels, by=engineer.user)
    lines = inputs_of(run)["labels"].read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["row-0", "row-1", "row-2", "row-3"]


def test_a_retired_judge_is_not_calibrated(engineer):
    judge = make_judge(status="retired")
    with pytest.raises(UserError, match="retired"):
        services.start_calibration(judge, make_labels(), by=engineer.user)


def test_the_page_shows_the_newest_calibration_and_any_other(reviewer, artifacts):
    judge, labels = make_judge(), make_labels()
    older = make_calibration(judge, labels, artifacts, wrong=10)
    newer = make_calibration(judge, labels, artifacts, wrong=2)
    path = reverse("evals:judge", args=[judge.pk])
    page = reviewer.get(path)
    assert page.context["shown"].run == newer
    assert page.context["report"]["all"]["kappa"]["value"] == pytest.approx(0.9)
    assert reviewer.get(path, {"run": older.pk}).context["shown"].run == older
    text = page.content.decode()
    assert "&lt;b&gt;drugs" in text
    assert "<b>drugs" not in text


def test_few_pairs_are_grey(reviewer, artifacts):
    judge = make_judge()
    make_calibration(judge, make_labels(), artifacts)
    text = reviewer.get(reverse("evals:judge", args=[judge.pk])).content.decode()
    rare = text[: text.index(">rare</th>")].rpartition("<tr")[2]
    common = text[: text.index("drugs&lt;/b&gt;</th>")].rpartition("<tr")[2]
    assert 'class="mut"' in rare
    assert 'class="mut"' not in common


def test_the_list_shows_each_judge_with_its_newest_numbers(reviewer, artifacts):
    judge, other = make_judge(), make_judge("Other")
    run = make_calibration(judge, make_labels(), artifacts)
    rows = dict(reviewer.get(reverse("evals:judges")).context["rows"])
    assert (rows[judge].run, rows[other]) == (run, None)


def test_two_judges_are_compared_on_the_labels_they_share(reviewer, artifacts):
    first, second, labels = make_judge("First"), make_judge("Second"), make_labels()
    make_calibration(first, labels, artifacts, wrong=10)
    make_calibration(second, labels, artifacts, wrong=0)
    asked = {"a": first.pk, "b": second.pk}
    found = reviewer.get(reverse("evals:compare_judges"), asked).context["found"]
    assert (found["num_rows"], found["same"]) == (40, 30)
    assert found["kappa"]["value"] == pytest.approx(0.5)


def test_judges_without_shared_labels_have_nothing_to_compare(reviewer, artifacts):
    first, second = make_judge("First"), make_judge("Second")
    make_calibration(first, make_labels(), artifacts)
    make_calibration(second, make_labels(6), artifacts)
    page = reviewer.get(reverse("evals:compare_judges"), {"a": first.pk, "b": second.pk})
    assert "not calibrated on the same labels" in page.content.decode()
    assert reviewer.get(reverse("evals:compare_judges"), {"a": "x"}).status_code == 404


def test_a_comparison_without_its_verdicts_says_so(reviewer):
    with_folder, labels = make_judge("First"), make_labels()
    shared = judges.Shared(labels, *(2 * [_gone(with_folder, labels)]))
    with pytest.raises(UserError, match="calibrate again"):
        judges.compared(shared)


def _gone(judge: Judge, labels: LabelSet) -> judges.Calibration:
    run = make_run("calibrate", status="done", label_set=labels)
    artifact = Artifact.objects.create(run=run, kind="report", name="c", path="gone", digest="0")
    return judges.Calibration(run, artifact, {})


def test_an_evaluation_starts_with_a_saved_judge(engineer):
    judge = make_judge(asks="rubric", key_name="judge-key")
    form = engineer.get(judges.evaluation_with(judge)).context["form"]
    chosen = form.parts["grader"]
    assert chosen.menu.value() == "judge"
    values = [chosen[name].value() for name in ("url", "model", "key", "asks")]
    assert values == ["http://judge", "careful", "judge-key", "rubric"]


def test_knobs_of_a_link_that_do_not_fit_are_passed_over(engineer):
    path = reverse("runs:new", args=["evaluate"])
    for wrong in ("grader-kind=nobody", "grader-votes=many", "grader=1", "a-b-c=1"):
        form = engineer.get(f"{path}?{wrong}").context["form"]
        assert form.parts["grader"].menu.value() == "embedded"


def test_the_judge_of_an_evaluation_is_known_by_place_and_model(artifacts):
    judge = make_judge(status="trusted")
    grader = judge.grader.model_dump(mode="json")
    calibrated = make_calibration(judge, make_labels(), artifacts)
    found = judges.of_run(make_run("evaluate", config={"grader": grader}))
    assert found is not None
    assert (found[0], found[1].run) == (judge, calibrated)
    other = make_run("evaluate", config={"grader": grader | {"model": "other"}})
    assert judges.of_run(other) is None
    assert judges.of_run(make_run("evaluate", config={"grader": {"kind": "embedded"}})) is None


def test_the_page_of_an_evaluation_names_its_judge_and_standing(reviewer, run):
    judge = make_judge(status="trusted")
    path = reverse("evals:run", args=[run.pk])
    assert "trusted" not in reviewer.get(path).content.decode()
    run.config["grader"] = judge.grader.model_dump(mode="json")
    run.save(update_fields=["config"])
    text = reviewer.get(path).content.decode()
    assert reverse("evals:judge", args=[judge.pk]) in text
    assert "trusted" in text
    assert "not calibrated" in text


def test_a_calibration_is_no_evaluation_report(reviewer, artifacts):
    run = make_calibration(make_judge(), make_labels(), artifacts)
    path = reverse("evals:detail", args=[run.artifacts.get().pk])
    assert reviewer.get(path).status_code == 404


def test_a_probe_says_what_is_wrong(engineer):
    judge = make_judge(url="http://127.0.0.1:9", key_name="")
    page = engineer.post(reverse("evals:probe_judge", args=[judge.pk]), follow=True)
    assert "The judge at http://127.0.0.1:9 gives no reply" in page.content.decode()
    with pytest.raises(UserError, match="no key called"):
        services.probe(make_judge("Keyed", key_name="absent"), engineer.user)
