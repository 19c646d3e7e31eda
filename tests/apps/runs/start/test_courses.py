from __future__ import annotations

from apps.runs.start import courses
from kos.rl.rewards.conciseness import STAGE_2, ConcisenessBonus

PATH = "rewards-0"
START = {
    "rewards-0-gate": "0.68",
    "rewards-0-output-free": "1500",
    "rewards-0-curriculum": "output.free 0.5:900 1:700\nnonsense",
    "steps": "10",
}


def cells(data, name: str) -> list[str]:
    row = next(row for row in courses.table(data, PATH).rows if row.name == name)
    return [row.start, *(value for _, value in row.cells)]


def test_the_lines_become_a_table():
    assert [moment for _, moment in courses.table(START, PATH).moments] == ["0.5", "1"]
    assert cells(START, "output.free") == ["1500", "900", "700"]
    assert cells(START, "gate") == ["0.68", "", ""]


def test_a_knot_at_the_start_is_the_start():
    data = START | {"rewards-0-curriculum": "output.free 0:1400 1:700"}
    assert cells(data, "output.free") == ["1400", "700"]


def test_without_lines_there_are_the_usual_moments():
    course = courses.table({"rewards-0-curriculum": ""}, PATH)
    assert [moment for _, moment in course.moments] == ["0.5", "1"]


def test_the_cells_become_lines_in_the_order_of_the_moments():
    typed = {"course-at-0": "1", "course-at-1": "0.25"}
    typed |= {"course-gate-0": "0.8", "course-gate-1": "0.7", "course-output_beta-0": "0.55"}
    data = courses.with_lines(START | typed, PATH)
    assert data["rewards-0-curriculum"] == "gate 0.25:0.7 1:0.8\noutput.beta 1:0.55"
    assert data["steps"] == "10"
    assert not [name for name in data if name.startswith("course-")]


def test_a_form_without_a_table_keeps_its_lines():
    assert courses.with_lines(START, PATH) == START


def test_what_is_no_number_is_left_for_the_config_to_refuse():
    data = courses.with_lines(START | {"course-at-0": "1", "course-gate-0": "high"}, PATH)
    assert data["rewards-0-curriculum"] == "gate 1:high"


def test_a_moment_more_lies_in_the_widest_gap():
    data = courses.with_moment(START | {"rewards-0-curriculum": "gate 0.2:0.7 1:0.8"}, PATH)
    assert [moment for _, moment in courses.table(data, PATH).moments] == ["0.2", "1", "0.6"]
    assert cells(data, "gate") == ["0.68", "0.7", "0.8", ""]


def test_there_are_no_more_moments_than_fit():
    data: dict[str, str] = dict(START)
    for _ in range(9):
        data = courses.with_moment(data, PATH)
    assert len(courses.table(data, PATH).moments) == courses.MAX_MOMENTS


def test_kos_1s_second_stage_survives_the_table():
    data = courses.like_stage_2(START, PATH)
    filled = {row.start_name: row.start for row in courses.table(data, PATH).rows}
    filled |= dict(courses.table(data, PATH).moments)
    filled |= {n: v for row in courses.table(data, PATH).rows for n, v in row.cells}
    lines = courses.with_lines(filled, PATH)["rewards-0-curriculum"].splitlines()
    bonus = ConcisenessBonus(
        response={"beta": filled["rewards-0-response-beta"]},
        output={name: filled[f"rewards-0-output-{name}"] for name in ("free", "maximum", "beta")},
        curriculum=tuple(lines),
    )
    for progress in (0, 0.3, 1):
        wanted = ConcisenessBonus(curriculum=STAGE_2).at(progress)
        assert bonus.at(progress) == wanted
