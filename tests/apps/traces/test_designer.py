from __future__ import annotations

import pytest
from django.urls import reverse

from apps.traces.designer import Length, design
from kos.rl.rewards.conciseness import STAGE_2, ConcisenessBonus
from tests.apps.runs.start.test_forms import train, typed
from tests.factories import make_run, make_trace, make_version

STAGE_TWO = ConcisenessBonus(curriculum=STAGE_2)
# One answer each that earns all, a part and nothing of stage 1's visible bonus.
LENGTHS = [Length(3000, 1000, 0.9), Length(5000, 2250, 0.9), Length(7000, 3500, 0.9)]


def test_the_article_s_vector_at_the_end_of_stage_two():
    # r = 0.81, 3,120 tokens of which 884 visible: 0.03 + 0.55 (2150 - 884) / 1450.
    drawn = design(STAGE_TWO, [Length(3120, 884, 0.81)])
    response, output = (chart.zones[-1].mean for chart in drawn.channels)
    assert (response, output) == pytest.approx((0.03, 0.4802), abs=1e-4)


def test_zones_are_shares_of_the_answers():
    zone = design(ConcisenessBonus(), LENGTHS).channels[1].zones[0]
    assert (zone.full, zone.falling, zone.none) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert zone.mean == pytest.approx((0.17 + 0.085) / 3)


def test_answers_below_the_gate_earn_nothing():
    low = [length._replace(score=0.5) for length in LENGTHS]
    drawn = design(ConcisenessBonus(), low)
    assert drawn.channels[1].zones[0].mean == 0
    assert drawn.gates[0].share == 0


def test_an_ungraded_answer_is_neither_in_nor_out_of_the_gate():
    drawn = design(ConcisenessBonus(), [Length(1, 1, None), Length(1, 1, 0.9)])
    assert drawn.gates[0].share == 1


def test_a_bonus_that_moves_is_drawn_at_three_moments():
    drawn = design(STAGE_TWO, LENGTHS)
    assert [line.label for line in drawn.channels[1].lines] == [
        "at the start",
        "half way",
        "at the end",
    ]
    assert len(design(ConcisenessBonus(), LENGTHS).channels[1].lines) == 1


def test_the_course_goes_from_the_first_bonus_to_the_last():
    drawn = design(STAGE_TWO, [])
    points = [point.split(",") for point in drawn.course.lines[1].points.split()]
    # The visible bonus rises from 0.17 to 0.55: upwards is towards 0.
    assert float(points[0][1]) > float(points[-1][1])


def test_the_histogram_is_of_all_answers_and_longer_ones_are_in_its_last_bar():
    chart = design(ConcisenessBonus(), [Length(100, 100, 1.0)] * 99 + [Length(9**9, 9**9, 1.0)])
    columns = chart.channels[0].columns
    assert len(columns) == 2
    assert columns[0].height > 50 * columns[1].height


def test_every_mark_lies_in_the_picture():
    drawn = design(STAGE_TWO, LENGTHS)
    for chart in (*drawn.channels, drawn.course):
        marks = [
            tuple(map(float, p.split(","))) for line in chart.lines for p in line.points.split()
        ]
        assert all(0 <= x <= 420 and 0 <= y <= 170 for x, y in marks)
        assert 2 <= len(chart.x_ticks) <= 7


def test_the_form_is_drawn_over_the_newest_finished_run_on_its_dataset(engineer):
    version = make_version()
    make_trace(run=make_run("train", status="done", dataset=make_version()))
    newest = make_run("evaluate", status="done", dataset=version)
    make_trace(run=newest, num_tokens=900, num_answer_tokens=300)
    make_trace(run=make_run("train", status="running", dataset=version))
    data = train().data | {"run-dataset": str(version.pk)}
    page = engineer.post(reverse("traces:curriculum", args=["train"]), data)
    assert (page.context["source"], page.context["num_lengths"]) == (newest, 1)
    assert "polyline" in page.content.decode()


def test_without_such_a_run_there_are_only_the_curves(engineer):
    page = engineer.post(reverse("traces:curriculum", args=["train"]), train().data)
    assert page.context["source"] is None
    assert "polyline" in page.content.decode()


def test_a_wrong_bonus_says_why_it_is_not_drawn(engineer):
    data = train(rewards_in_0_in_output_in_free="9000").data
    page = engineer.post(reverse("traces:curriculum", args=["train"]), data).content.decode()
    assert "the bonus ends at 3000 tokens" in page
    assert "polyline" not in page


def test_another_wrong_knob_does_not_stop_the_drawing(engineer):
    page = engineer.post(reverse("traces:curriculum", args=["train"]), train(steps="0").data)
    assert "polyline" in page.content.decode()


def test_a_pipelines_training_is_drawn_too(engineer):
    blank = engineer.get(reverse("runs:new", args=["pipeline"])).context["form"]
    page = engineer.post(reverse("traces:curriculum", args=["pipeline"]), typed(blank))
    assert len(page.context["designs"]) == 1


def test_the_designer_is_for_engineers_by_post(engineer, reviewer, stranger):
    path = reverse("traces:curriculum", args=["train"])
    assert engineer.get(path).status_code == 405
    assert engineer.post(reverse("traces:curriculum", args=["magic"])).status_code == 404
    assert reviewer.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]
