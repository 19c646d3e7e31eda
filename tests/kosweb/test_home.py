from __future__ import annotations

from tests.factories import make_run, make_trace


def test_an_engineer_sees_what_runs_and_what_failed(engineer):
    make_run(name="at work", status="running")
    make_run(name="in trouble", status="failed", error="no disk", ended="2126-01-01T00:00Z")
    page = engineer.get("/").content.decode()
    assert "at work" in page
    assert "no disk" in page


def test_an_empty_console_says_how_to_begin(engineer):
    assert b"Load the sample set" in engineer.get("/").content


def test_a_reviewer_sees_flagged_answers_and_no_runs(reviewer):
    make_trace(example_id="odd-one", flags=["empty"])
    page = reviewer.get("/").content.decode()
    assert "odd-one" in page
    assert "Running now" not in page


def test_a_clinician_goes_on_to_the_playground(clinician):
    assert clinician.get("/").headers["Location"] == "/chat/"


def test_a_stranger_is_sent_to_sign_in(stranger, db):
    assert stranger.get("/").headers["Location"] == "/sign-in/?next=/"


def test_home_takes_no_post(engineer):
    assert engineer.post("/").status_code == 405
