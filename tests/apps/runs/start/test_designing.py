from __future__ import annotations

import pytest

from tests.apps.runs.start.test_forms import train

DESIGNER = "/curriculum/"
HTMX = {"HX-Request": "true"}


def test_the_designer_is_for_engineers(engineer, clinician, stranger):
    assert engineer.get(DESIGNER).status_code == 200
    assert clinician.get(DESIGNER).status_code == 403
    assert "/sign-in/" in stranger.get(DESIGNER).headers["Location"]
    assert engineer.put(DESIGNER).status_code == 405


def test_the_forms_bonus_comes_along_with_all_the_rest(engineer):
    data = train(steps="33", rewards_in_0_in_gate="0.5").data
    page = engineer.post(f"{DESIGNER}?kind=train&path=rewards-0", data)
    assert page.context["course"].rows[0].start == "0.5"
    assert ("steps", "33") in page.context["carried"]


def test_the_lines_follow_the_cells(engineer):
    data = train().data | {"course-at-0": "1", "course-gate-0": "0.8"}
    page = engineer.post(DESIGNER, data, headers=HTMX).content.decode()
    assert "gate 1:0.8" in page
    assert "<html" not in page


def test_the_form_takes_the_chosen_course_back(engineer):
    data = train(steps="33").data | {"course-at-0": "1", "course-output_free-0": "700"}
    page = engineer.post("/runs/new/train/", data | {"edit": "rewards-0 design 0"})
    form = page.context["form"]
    assert form.parts["rewards"].parts["0"]["curriculum"].value() == "output.free 1:700"
    assert str(form["steps"].value()) == "33"


def test_a_button_adds_a_moment_without_javascript(engineer):
    page = engineer.post(DESIGNER, train().data | {"course": "moment"})
    assert len(page.context["course"].moments) == 3


@pytest.mark.parametrize("query", ["kind=magic", "path=loss", "path=rewards", "kind=base"])
def test_what_has_no_length_bonus_is_404(engineer, query):
    assert engineer.get(f"{DESIGNER}?{query}").status_code == 404
