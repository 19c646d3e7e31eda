from __future__ import annotations

from tests.factories import make_trace


def test_traces_come_in_pages(reviewer):
    first, second, third = (make_trace() for _ in range(3))
    page = reviewer.get("/api/traces/", {"limit": 2}).json()
    assert [row["id"] for row in page["items"]] == [third.pk, second.pk]
    rest = reviewer.get("/api/traces/", {"limit": 2, "before": page["next"]}).json()
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
