from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.runs import events, fitting
from apps.runs.fitting import MOST_BYTES, fit, size_of
from tests.factories import make_run

VALUES = (
    st.integers()
    | st.text(max_size=300)
    | st.lists(st.text(max_size=60), max_size=9)
    | st.dictionaries(st.text(max_size=30), st.floats(), max_size=9)
)


def test_what_fits_stays_as_it_is():
    data = {"step": 1, "metrics": {"loss": 0.5}}
    assert fit(data) is data


def test_a_long_text_is_cut_and_the_numbers_stay():
    found = fit({"step": 7, "text": "é" * 90_000, "metrics": {"loss": 0.5}})
    assert (found["step"], found["metrics"]) == (7, {"loss": 0.5})
    assert found["text"].endswith("… (90000 characters in all)")
    assert found["cut_bytes"] > MOST_BYTES


def test_of_too_many_numbers_the_first_stay():
    found = fit({"step": 7, "metrics": {f"name {n}": n for n in range(9_000)}})
    assert found["metrics"]["name 0"] == 0
    assert 1_000 < len(found["metrics"]) < 9_000


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=6))
def test_whatever_it_is_it_fits(data):
    most, fitting.MOST_BYTES = fitting.MOST_BYTES, 200
    try:
        assert size_of(fit(data)) <= 200
    finally:
        fitting.MOST_BYTES = most


@pytest.mark.django_db
def test_the_log_of_a_run_keeps_what_fits():
    run = make_run(status="running", attempt=1)
    events.append(run.pk, 1, [events.new("note", text="a" * 10**6)], lease_seconds=9)
    (event,) = run.events.all()
    assert size_of(event.data) <= MOST_BYTES
    assert event.data["cut_bytes"] > 10**6
