from __future__ import annotations

from urllib.parse import parse_qs, urlparse

from apps.runs.models import RunInput
from apps.runs.page.next_steps import NextStep, next_steps
from tests.factories import make_artifact, make_run


def finished(kind: str, *kept: str, **fields):
    run = make_run(kind, status="done", **fields)
    RunInput.objects.create(run=run, name="base", artifact=make_artifact("base"))
    return run, {name: make_artifact(name, run=run) for name in kept}


def offers(run) -> dict[str, NextStep]:
    return {step.verb: step for step in next_steps(run)}


def query(step: NextStep) -> dict[str, list[str]]:
    return parse_qs(urlparse(step.url).query)


def test_a_training_offers_its_second_phase_with_its_adapter(db):
    run, kept = finished("train", "adapter")
    step = offers(run)["Shorter answers: second phase"]
    assert query(step) == {
        "clone": [str(run.pk)], "phase": ["2"], "adapter": [str(kept["adapter"].pk)]
    }  # fmt: skip


def test_the_second_phase_form_starts_short_and_from_that_adapter(engineer):
    run, kept = finished("train", "adapter")
    answer = engineer.get(offers(run)["Shorter answers: second phase"].url)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'value="length_k15" selected' in page
    assert f'value="{kept["adapter"].pk}" selected' in page


def test_a_training_offers_to_select_and_to_compare_variants(db):
    run, kept = finished("train", "adapter")
    select = query(offers(run)["Select short answers"])
    assert select["adapter"] == [str(kept["adapter"].pk)]
    assert offers(run)["Compare variants"].url == "/evals/variants/"


def test_selected_answers_are_to_be_learnt(db):
    run, kept = finished("select", "answers")
    fine_tune = query(offers(run)["Fine-tune on them"])
    assert fine_tune["answers"] == [str(kept["answers"].pk)]
    assert "dataset" not in fine_tune
    assert "Optimise the preference" not in offers(run)


def test_selected_pairs_are_to_be_preferred_by(db):
    run, kept = finished("select", "pairs")
    [step] = next_steps(run)
    assert step.url.startswith("/runs/new/dpo/")
    assert query(step)["pairs"] == [str(kept["pairs"].pk)]


def test_a_run_that_is_not_done_offers_nothing(db):
    run, _ = finished("select", "pairs")
    run.status = "failed"
    assert next_steps(run) == []
