"""More points met never lower a score, and a score stays within its bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kos.data.rubrics import RubricItem
from kos.events import ItemGrade
from kos.grading.score import raw_score, unit_score

QUICK = settings(max_examples=100)
points = st.floats(-1000, 1000).filter(bool)
items = st.lists(
    st.builds(
        lambda points, met: ItemGrade("k", "t", points, met, "judge"), points, st.booleans()
    ),
    min_size=1,
    max_size=8,
)


@given(found=items)
@QUICK
def test_a_score_is_at_most_one_and_the_reward_within_nought_and_one(found):
    raw, unit = raw_score(found), unit_score(found)
    assert (raw is None) == (unit is None) == all(item.points < 0 for item in found)
    if raw is not None and unit is not None:
        assert math.isfinite(raw)
        assert raw <= 1 + 1e-12
        assert 0 <= unit <= 1


@given(found=items, place=st.integers(0, 7))
@QUICK
def test_meeting_what_earns_points_never_lowers_the_reward(found, place):
    item = found[place % len(found)]
    others = [one for one in found if one is not item]
    unmet = unit_score([*others, replace(item, met=False)])
    met = unit_score([*others, replace(item, met=True)])
    if met is not None and unmet is not None:
        assert (met >= unmet - 1e-12) if item.points > 0 else (met <= unmet + 1e-12)


@given(found=items, factor=st.sampled_from((0.125, 2.0, 64.0)))
@QUICK
def test_the_size_of_the_points_does_not_matter_only_their_share(found, factor):
    grown = [replace(item, points=item.points * factor) for item in found]
    assert raw_score(grown) == raw_score(found)


@given(found=items)
@QUICK
def test_an_item_without_a_verdict_leaves_no_score(found):
    assert unit_score([*found, ItemGrade("x", "t", 1, None, "judge")]) is None


@pytest.mark.parametrize("value", [1e308, -1e308, float("inf"), float("nan"), 0])
def test_points_whose_sum_would_be_no_number_are_refused(value):
    with pytest.raises(ValidationError, match="points"):
        RubricItem(key="k", text="t", points=value)
