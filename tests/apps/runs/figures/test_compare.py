"""Runs side by side: which are shown, where their configs part, how they scored."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.runs.figures import colours, metrics
from apps.runs.models import Run, RunInput
from kos.config import Train
from tests.factories import make_artifact, make_run, make_version

PATH = "/runs/compare/"


def make(name: str, **config) -> Run:
    settings = Train(**config).model_dump(mode="json")
    return make_run("train", name=name, status="done", config=settings)


@pytest.fixture
def pair(db) -> list[Run]:
    """Two trainings: the second learns slower and scores less."""
    first = make("first", substeps=2)
    second = make("second", substeps=3)
    for run, reward in ((first, 0.8), (second, 0.6)):
        for step in (1, 2):
            told = {"reward/mean": reward * step, "loss": 1 / step, "tokens/sampled": 100.0}
            metrics.record(run, step, told, run.created)
    metrics.record(first, 3, {"mine/own": 1.0}, first.created)
    return [first, second]


def ids(*runs: Run) -> dict[str, str]:
    return {"ids": ",".join(str(run.pk) for run in runs)}


def row(page, title: str, label: str):
    table = next(table for table in page.context["tables"] if table.title == title)
    return next(row for row in table.rows if row.label == label)


def test_the_address_is_the_pages_name():
    assert reverse("runs:compare") == PATH


def test_shared_metrics_are_laid_over_one_another(engineer, pair):
    page = engineer.get(PATH, ids(*pair))
    drawn = {panel.key for group in page.context["groups"] for panel in group.panels}
    assert drawn == {"reward/mean", "loss", "tokens/sampled"}
    text = page.content.decode()
    assert text.count("data-source=") == 2
    assert reverse("runs:metrics", args=[pair[1].pk]) in text


def test_only_knobs_that_differ_are_shown_at_first(engineer, pair):
    knobs = engineer.get(PATH, ids(*pair)).context["knobs"]
    assert [(knob.path, knob.values) for knob in knobs if knob.path == "substeps"] == [
        ("substeps", ["2", "3"])
    ]
    assert all(knob.differs and knob.path != "steps" for knob in knobs)
    assert next(knob for knob in knobs if knob.path == "substeps").help


def test_every_knob_is_shown_on_demand_with_dotted_names(engineer, pair):
    knobs = engineer.get(PATH, ids(*pair) | {"all": "1"}).context["knobs"]
    by_path = {knob.path: knob for knob in knobs}
    assert not by_path["sampling.top_p"].differs
    assert "rewards.0.gate" in by_path


def test_a_knob_that_one_config_lacks_differs(engineer, pair):
    pair.append(make("third", rewards=[]))
    knobs = engineer.get(PATH, ids(*pair)).context["knobs"]
    gate = next(knob for knob in knobs if knob.path == "rewards.0.gate")
    assert gate.values == ["0.68", "0.68", None]


def test_the_best_last_number_is_marked_and_others_differ_from_the_first(engineer, pair):
    page = engineer.get(PATH, ids(*pair))
    best, other = row(page, "Last numbers", "reward/mean").cells
    assert (best.is_best, other.is_best) == (True, False)
    assert (best.delta, other.delta) == ("", "\N{MINUS SIGN}0.4")
    same = row(page, "Last numbers", "loss").cells
    assert [cell.is_best for cell in same] == [False, False]
    assert same[1].delta == "the same"


def test_a_number_without_a_better_end_has_no_best(engineer, pair):
    cells = row(engineer.get(PATH, ids(*pair)), "Last numbers", "tokens/sampled").cells
    assert not any(cell.is_best for cell in cells)


def test_what_the_runs_took_is_said(engineer, pair):
    page = engineer.get(PATH, ids(*pair))
    assert [cell.text for cell in row(page, "What they took", "Steps").cells] == ["3", "2"]
    tokens = row(page, "What they took", "Tokens sampled").cells
    assert tokens[0].text == "200"


def test_evaluations_of_their_models_are_scores(engineer, pair):
    dataset = make_version()
    for run, value in zip(pair, (0.5, 0.7), strict=True):
        asked = make_run("evaluate", status="done", dataset=dataset)
        adapter = make_artifact("adapter", run=run)
        RunInput.objects.create(run=asked, name="trained", artifact=adapter)
        scores = [{"model": "base", "value": 0.1}, {"model": "trained", "value": value}]
        make_artifact("report", run=asked, summary={"models": scores})
    cells = row(engineer.get(PATH, ids(*pair)), "Evaluations", str(dataset)).cells
    assert [(cell.text, cell.is_best) for cell in cells] == [("0.5", False), ("0.7", True)]
    assert cells[1].url


def test_a_pipeline_is_drawn_by_its_training(engineer, pair):
    whole = make_run("pipeline", name="whole", status="done")
    Run.objects.filter(pk=pair[1].pk).update(pipeline=whole)
    page = engineer.get(PATH, ids(pair[0], whole))
    assert page.context["found"][1].charted == pair[1]
    assert page.context["groups"]


def test_one_run_alone_asks_for_a_second(engineer, pair):
    text = engineer.get(PATH, ids(pair[0])).content.decode()
    assert "One run stands alone here" in text


def test_no_run_teaches_what_the_page_is_for(engineer):
    assert "Nothing to compare yet" in engineer.get(PATH).content.decode()


def test_a_seventh_run_is_left_out_with_a_reason(engineer, pair):
    runs = [*pair, *(make(f"more {number}") for number in range(5))]
    page = engineer.get(PATH, ids(*runs))
    assert [one.run for one in page.context["found"]] == runs[:6]
    assert f"1 was left out (#{runs[6].pk})" in page.content.decode()


def test_numbers_that_are_no_runs_are_named(engineer, pair):
    page = engineer.get(PATH, {"ids": f"{pair[0].pk},999999,abc,{pair[1].pk},{'9' * 30}"})
    assert page.context["asked"].unknown == ["999999", "abc", "9" * 30]
    assert "were left out: 999999, abc" in page.content.decode()
    assert len(page.context["found"]) == 2


def test_runs_without_steps_are_said_to_have_none(engineer, pair):
    quiet = make("quiet")
    assert "quiet has no steps to draw" in engineer.get(PATH, ids(*pair, quiet)).content.decode()
    text = engineer.get(PATH, ids(quiet, make("still"))).content.decode()
    assert "None of these runs has told a number by step" in text


def test_runs_with_nothing_in_common_say_so(engineer, pair):
    other = make("other")
    metrics.record(other, 1, {"quite/else": 1.0}, other.created)
    text = engineer.get(PATH, ids(pair[0], other)).content.decode()
    assert "no metric in common" in text


def test_a_run_is_added_by_its_number(engineer, pair):
    answer = engineer.get(PATH, {"ids": str(pair[0].pk), "add": f"#{pair[1].pk}"})
    assert answer.headers["Location"] == f"{PATH}?ids={pair[0].pk},{pair[1].pk}"


def test_a_run_is_added_by_its_name_or_a_part_of_it(engineer, pair):
    make("the second of all")
    for typed in ("Second", "irst"):
        answer = engineer.get(PATH, {"add": typed})
        wanted = pair[1] if typed == "Second" else pair[0]
        assert answer.headers["Location"] == f"{PATH}?ids={wanted.pk}"
    unknown = engineer.get(PATH, {"add": "no such run"}, follow=True)
    assert "No run that you can see is called “no such run”" in unknown.content.decode()


def test_a_run_is_taken_away(engineer, pair):
    links = engineer.get(PATH, ids(*pair)).context["links"]
    assert links[0][1] == f"{PATH}?ids={pair[1].pk}"


def test_ids_may_come_from_checkboxes(engineer, pair):
    page = engineer.get(PATH, {"ids": [pair[0].pk, pair[1].pk, pair[0].pk]})
    assert [one.run for one in page.context["found"]] == pair


def test_a_run_keeps_its_colour_and_no_two_share_one():
    alone = {pk: colours.slots([pk])[pk] for pk in range(1, 50)}
    assert set(alone.values()) == {1, 2, 3, 4, 5, 6}
    for start in range(1, 40):
        together = colours.slots(range(start, start + 6))
        assert sorted(together.values()) == [1, 2, 3, 4, 5, 6]
        assert together[start] == alone[start]


def test_a_run_of_an_older_kos_is_compared_by_what_it_has(engineer, pair):
    old = make_run("train", status="done", config={"kind": "train", "reward": {"kind": "gone"}})
    knobs = engineer.get(PATH, ids(pair[0], old)).context["knobs"]
    assert any(knob.path == "reward.kind" for knob in knobs)


def test_the_comparison_is_for_engineers(engineer, clinician, reviewer, stranger, pair):
    address = f"{PATH}?ids={pair[0].pk}"
    assert engineer.post(address).status_code == 405
    assert {clinician.get(address).status_code, reviewer.get(address).status_code} == {403}
    assert "/sign-in/" in stranger.get(address).headers["Location"]


def test_six_runs_cost_no_query_a_metric(engineer, pair, django_assert_max_num_queries):
    for run in pair:
        many = {f"mine/number_{number}": 1.0 for number in range(50)}
        metrics.record(run, 9, many, run.created)
    with django_assert_max_num_queries(40):
        engineer.get(PATH, ids(*pair))
