from __future__ import annotations

from tests.factories import make_run, make_trace


def test_traces_come_in_pages(reviewer):
    first, second, third = (make_trace() for _ in range(3))
    page = reviewer.get("/api/traces/", {"limit": 2}).json()
    assert [row["id"] for row in page["items"]] == [third.pk, second.pk]
    rest = reviewer.get("/api/traces/", {"limit": 2, "cursor": page["next"]}).json()
    assert [row["id"] for row in rest["items"]] == [first.pk]
    assert rest["next"] is None


def test_traces_are_filtered_as_on_the_page(reviewer):
    make_trace(score=0.2)
    good = make_trace(score=0.9)
    rows = reviewer.get("/api/traces/", {"low": 0.5}).json()["items"]
    assert [row["id"] for row in rows] == [good.pk]


def test_one_trace_has_its_grades(reviewer):
    trace = make_trace()
    trace.grades.create(position=0, key="k", text="t", points=1, met=True, grader="check")
    assert reviewer.get(f"/api/traces/{trace.pk}/").json()["grades"][0]["met"] is True


def test_one_trace_has_its_records_and_what_readers_said(reviewer):
    trace = make_trace(tools=[{"call": {"name": "look_up"}}], versions={"dialect": "kimi"})
    trace.raised.create(kind="unsafe", note="Dose.")
    row = reviewer.get(f"/api/traces/{trace.pk}/").json()
    assert (row["origin"], row["versions"]) == ("rollout", {"dialect": "kimi"})
    assert row["raised"][0]["kind"] == "unsafe"
    assert row["tools"][0]["call"]["name"] == "look_up"


def test_words_and_readers_opinions_are_filters_too(reviewer):
    make_trace()
    found = make_trace(answer="Colchicine early.")
    found.raised.create(kind="unsafe")
    for query in ({"q": "colchicine"}, {"raised": "unsafe"}):
        rows = reviewer.get("/api/traces/", query).json()["items"]
        assert [row["id"] for row in rows] == [found.pk]


def test_a_clinician_reads_no_traces(clinician):
    assert clinician.get("/api/traces/").status_code == 403


def graded(met, **fields):
    trace = make_trace(**fields)
    trace.grades.create(
        position=0, key="dose", text="Names a dose.", points=5, met=met, grader="j"
    )
    return trace


def test_a_rubric_item_is_followed_forward(reviewer):
    run = make_run("train")
    for step, met in ((1, False), (2, True)):
        graded(met, run=run, step=step, example_id="p1")
    found = reviewer.get("/api/traces/rubric/", {"item": "dose", "example": "p1"}).json()
    assert (found["text"], found["num"], found["is_cut"]) == ("Names a dose.", 2, False)
    (training,) = found["trainings"]
    assert training["run_id"] == run.pk
    assert training["steps"] == [
        {"step": 1, "num": 1, "num_met": 0},
        {"step": 2, "num": 1, "num_met": 1},
    ]


def test_the_grades_of_an_item_come_in_pages_and_are_filtered(reviewer):
    first, second, _ = graded(True), graded(True), graded(False)
    asked = {"item": "dose", "met": "yes", "limit": 1}
    page = reviewer.get("/api/traces/grades/", asked).json()
    assert [row["trace_id"] for row in page["items"]] == [second.pk]
    rest = reviewer.get("/api/traces/grades/", asked | {"cursor": page["next"]}).json()
    assert [row["trace_id"] for row in rest["items"]] == [first.pk]


def test_two_answers_are_compared_word_by_word(reviewer):
    left, right = make_trace(answer="Take it now."), make_trace(answer="Take it later.")
    found = reviewer.get("/api/traces/compare/", {"a": left.pk, "b": right.pk}).json()
    assert [part["text"] for part in found["a"] if not part["is_shared"]] == ["now."]
    assert 0 < found["likeness"] < 1
    assert reviewer.get("/api/traces/compare/", {"a": left.pk, "b": 10**9}).status_code == 404


def test_an_answer_is_followed_back(reviewer):
    run = make_run("train", name="whence")
    trace = make_trace(run=run, versions={"dialect": "kimi"})
    found = reviewer.get(f"/api/traces/{trace.pk}/origin/").json()
    assert "whence" in [step["name"] for step in found["steps"]]
    assert found["versions"] == {"Prompt template": "kimi"}
