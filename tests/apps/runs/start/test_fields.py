from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import BaseModel, Field

from apps.runs.start.parts import config_form
from tests.apps.runs.start.test_forms import typed


class Point(BaseModel):
    """A place."""

    x: int = 0


class Sample(BaseModel):
    """Every sort of knob that is not plain."""

    limit: int | None = Field(None, ge=1)
    word: str | None = None
    budgets: dict[str, int] = Field({"consult": 300}, description="By task.")
    also: Mapping[str, float] = {}
    points: tuple[Point, ...] = (Point(x=1), Point(x=2))


def sample(**changed: str):
    blank = config_form(Sample, initial=Sample().model_dump(mode="json"))
    return config_form(
        Sample, typed(blank) | {k.replace("_in_", "-"): v for k, v in changed.items()}
    )


def test_an_untouched_form_gives_the_defaults_back():
    form = sample()
    assert form.is_valid(), form.problems()
    assert form.config == Sample()


def test_an_optional_number_is_what_was_typed():
    form = sample(limit="7", word="x")
    assert form.is_valid()
    assert (form.config.limit, form.config.word) == (7, "x")


def test_a_mapping_is_one_name_and_value_a_line():
    form = sample(budgets="research: 900\r\n\r\nconsult : 200")
    assert form.is_valid(), form.problems()
    assert form.config.budgets == {"research": 900, "consult": 200}


@pytest.mark.parametrize("text", ["no colon", "research: many"])
def test_a_wrong_line_of_a_mapping_is_an_error_of_its_field(text):
    form = sample(budgets=text)
    assert not form.is_valid()
    assert [anchor for anchor, _, _ in form.problems()] == ["id_budgets"]


def test_a_list_of_models_needs_no_kinds():
    form = sample(points_in_1_in_x="5")
    assert form.is_valid(), form.problems()
    assert [point.x for point in form.config.points] == [1, 5]
