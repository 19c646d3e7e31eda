from __future__ import annotations

import pytest

from kos.evals.scores import Mode
from kos.evals.slices import cross_table, families_of, partition, tag_rows, weighs_back
from kos.events import ItemGrade
from tests.kos.evals.graded import make_answer, make_scored

MODE = Mode()


def spread(num: int, use_case: str, score: float, **more: str) -> list:
    return [
        make_scored(f"{use_case}{n}", score, slices={"use case": use_case, **more})
        for n in range(num)
    ]


@pytest.mark.parametrize(
    "parts",
    [
        [(0.4495, 53.4), (0.2705, 55.9), (0.28, 66.6)],
        [(0.4876, 69.1), (0.1486, 39.4), (0.3638, 50.0)],
    ],
)
def test_published_slices_weigh_back_to_their_headline(parts) -> None:
    assert weighs_back(parts, 57.8)
    assert not weighs_back(parts, 58.0)


def test_slices_weigh_back_to_the_unclipped_mean() -> None:
    answers = spread(3, "consult", 0.5) + spread(1, "writing", -2.0)
    found = partition(answers, "use case", MODE)
    assert found.adds_up
    assert found.weighted_sum == pytest.approx(-0.125)
    assert [(row.name, row.n, row.value) for row in found.rows] == [
        ("consult", 3, 0.5),
        ("writing", 1, 0.0),
    ]


def test_prompts_without_a_value_keep_a_row_so_that_nothing_is_lost() -> None:
    answers = [*spread(2, "consult", 1.0), make_scored("x", 0.0)]
    found = partition(answers, "use case", MODE)
    assert [row.name for row in found.rows] == ["consult", "(none)"]
    assert found.adds_up


def test_small_slices_are_not_tested() -> None:
    before = spread(40, "consult", 0.2) + spread(5, "writing", 0.2)
    after = spread(40, "consult", 0.5) + spread(5, "writing", 0.9)
    large, small = partition(after, "use case", MODE, baseline=before).rows
    assert (large.is_different, large.is_small) == (True, False)
    assert (small.is_different, small.is_small, small.p_holm) == (False, True, None)


def test_a_family_with_one_value_divides_nothing() -> None:
    answers = spread(2, "consult", 1.0, theme="a") + spread(1, "writing", 1.0, theme="a")
    assert families_of(answers) == ["use case"]


def test_a_cross_table_shows_where_the_prompts_are() -> None:
    answers = spread(2, "consult", 1.0, slice="typical") + spread(3, "writing", 0.0, slice="hard")
    found = cross_table(answers, "use case", "slice", MODE)
    cells = {(cell.row, cell.column): (cell.n, cell.mean) for cell in found.cells}
    assert found.rows == ("writing", "consult")
    assert cells["consult", "typical"] == (2, 1.0)
    assert cells["consult", "hard"] == (0, None)


def test_an_axis_counts_its_own_items_prompt_by_prompt() -> None:
    items = [
        ItemGrade("a", "a", 5, True, "j", tags=("axis:accuracy",)),
        ItemGrade("b", "b", 5, False, "j", tags=("axis:completeness",)),
    ]
    answers = [make_answer("p", items=tuple(items)), make_answer("q", (5, True))]
    rows = {row.name: (row.n, row.value) for row in tag_rows(answers, "axis:", MODE)}
    assert rows == {"axis:accuracy": (1, 1.0), "axis:completeness": (1, 0.0)}
