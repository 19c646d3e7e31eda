from __future__ import annotations

import pytest
from django.urls import reverse

from apps.traces import paging
from apps.traces.models import Grade, Trace
from tests.factories import make_run, make_trace


def grade(trace, position: int, points: float, *, met: bool | None) -> None:
    Grade.objects.create(
        trace=trace,
        position=position,
        key=f"k{position}",
        text=f"item {position}",
        points=points,
        met=met,
        grader="check",
    )


@pytest.fixture
def trace(db):
    trace = make_trace(flags=["truncated"], score=0.25, reward=0.4, step=3, thinking="hm")
    grade(trace, 0, 5, met=True)
    grade(trace, 1, 3, met=False)
    grade(trace, 2, -3, met=True)
    return trace


@pytest.fixture
def paths(trace) -> list[str]:
    return [
        reverse("traces:list"),
        f"{reverse('traces:compare')}?a={trace.pk}&b={trace.pk}",
        reverse("traces:detail", args=[trace.pk]),
        reverse("traces:rollouts", args=[trace.run_id]),
    ]


def test_every_page_opens_for_engineers_and_reviewers(engineer, reviewer, paths):
    for path in paths:
        assert engineer.get(path).status_code == 200
        assert reviewer.get(path).status_code == 200


def test_no_page_opens_for_others(stranger, clinician, paths):
    for path in paths:
        assert "/sign-in/" in stranger.get(path).headers["Location"]
        assert clinician.get(path).status_code == 403


def test_traces_are_read_only(engineer, paths):
    assert {engineer.post(path).status_code for path in paths} == {405}


def test_a_trace_writes_its_score_out(reviewer, trace):
    page = reviewer.get(reverse("traces:detail", args=[trace.pk])).content.decode()
    assert "2 of 8 points = <b>0.250</b>" in page
    assert "✗ committed" in page


def test_benchmark_text_is_not_shown(reviewer):
    secret = make_trace(is_restricted=True, messages=[{"role": "user", "content": "secret"}])
    page = reviewer.get(reverse("traces:detail", args=[secret.pk])).content.decode()
    assert "secret" not in page
    assert "Benchmark text is never shown" in page


@pytest.mark.parametrize(
    ("query", "num"),
    [
        ({"flag": "truncated"}, 1),
        ({"flag": "any"}, 1),
        ({"flag": "empty"}, 0),
        ({"low": "0.3"}, 1),
        ({"low": "0.1", "high": "0.3"}, 1),
        ({"model": "nobody"}, 0),
        ({"run": "not a number"}, 2),
        ({"q": "colchicine"}, 1),
        ({"q": '"early dose" colchicine'}, 1),
        ({"q": "colchicine -early"}, 0),
        ({"q": "acute question"}, 1),
        ({"origin": "chat"}, 1),
        ({"origin": "api"}, 0),
        ({"tool": "look_up"}, 1),
        ({"tool": "look"}, 0),
        ({"raised": "any"}, 1),
        ({"raised": "unsafe"}, 1),
        ({"raised": "outdated"}, 0),
        ({"example": "case-7"}, 1),
        ({"since": "2020-01-01"}, 2),
        ({"until": "2020-01-01"}, 0),
        ({"since": "no date"}, 2),
    ],
)
def test_the_list_is_filtered(reviewer, trace, query, num):
    other = make_trace(
        score=0.9,
        origin="chat",
        example_id="case-7",
        question="An acute question",
        answer="Colchicine, an early dose.",
        tool_names=["look_up"],
    )
    other.raised.create(kind="unsafe")
    assert len(reviewer.get(reverse("traces:list"), query).context["page"].rows) == num


def test_rollouts_stand_in_groups_by_prompt(engineer, trace):
    beside = {"run": trace.run, "step": 3, "reward": 0.8}
    make_trace(**beside, example_id=trace.example_id, sample=1)
    make_trace(**beside, example_id="zebra")
    page = engineer.get(reverse("traces:rollouts", args=[trace.run_id]))
    groups = [*page.context["page"]]
    assert [len(group.traces) for group in groups] == [2, 1]
    assert groups[0].mean == pytest.approx(0.6)


def test_rollouts_open_at_the_newest_step(engineer, trace):
    make_trace(run=trace.run, step=4)
    path = reverse("traces:rollouts", args=[trace.run_id])
    assert engineer.get(path).context["step"] == 4
    assert engineer.get(path, {"step": 3}).context["step"] == 3
    assert engineer.get(path, {"step": 99}).context["step"] == 4


def test_a_run_without_rollouts_says_so(engineer):
    page = engineer.get(reverse("traces:rollouts", args=[make_run().pk]))
    assert b"No rollouts yet" in page.content


def test_a_long_list_is_read_on_without_counting(
    reviewer, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(paging, "PAGE_SIZE", 2)
    first, second, third = (make_trace() for _ in range(3))
    with django_assert_max_num_queries(6):
        page = reviewer.get(reverse("traces:list"))
    assert [row.pk for row in page.context["page"].rows] == [third.pk, second.pk]
    rest = reviewer.get(reverse("traces:list"), {"cursor": page.context["page"].older})
    assert [row.pk for row in rest.context["page"].rows] == [first.pk]
    assert "Newest" in rest.content.decode()


TURN = {
    "turn": 1,
    "raw": "<think>x</think>",
    "thinking": "x",
    "answer": "",
    "calls": [],
    "stop_reason": "stop",
    "flags": ["empty"],
    "num_prompt_tokens": 9,
    "num_tokens": 2,
    "started": 0,
    "first_token_seconds": None,
    "seconds": 1,
    "rendered": "<|im_user|>Gout?",
    "token_ids": [4, 5],
    "tokens": ["Re", "st"],
    "logprobs": [-0.1, -3.0],
}
TOOL = {
    "call": {"id": "1", "name": "look_up", "arguments": '{"query": "<b>gout</b>"}'},
    "observation": "<script>alert(1)</script>",
    "notice": "source: live",
    "mode": "live",
    "is_error": False,
    "started": 1,
    "seconds": 2,
    "turn": 1,
    "sources": ["S1"],
    "agent": "",
}
SOURCE = {
    "id": "S1",
    "title": "<i>Gout</i>",
    "url": "",
    "text": "<script>alert(2)</script>",
    "provenance": {"provider": "leaflets", "mode": "live", "licence": "CC0"},
}


@pytest.fixture
def agentic(db):
    return make_trace(turns=[TURN], tools=[TOOL], sources=[SOURCE], versions={"dialect": "kimi"})


def test_a_trace_shows_how_its_answer_came_about(reviewer, agentic):
    page = reviewer.get(reverse("traces:detail", args=[agentic.pk])).content.decode()
    for text in (
        'href="#call-0"',
        "&lt;|im_user|&gt;Gout?",
        "&lt;think&gt;x&lt;/think&gt;",
        '<span class="tok t4" title="0.050">st</span>',
        "Where this comes from",
        "CC0",
    ):
        assert text in page


def test_what_tools_and_models_wrote_is_text(reviewer, agentic):
    page = reviewer.get(reverse("traces:detail", args=[agentic.pk])).content.decode()
    for hostile in ("<script>alert", "<b>gout", "<i>Gout", "<think>"):
        assert hostile not in page
    assert " style=" not in page


def test_readers_flag_an_answer_for_review(reviewer, trace):
    address = reverse("traces:flag", args=[trace.pk])
    form = {"kind": ["review", "unsafe", "nonsense"], "note": "Dose."}
    page = reviewer.post(address, form, follow=True).content.decode()
    assert "Flagged for the review queue." in page
    assert {flag.kind for flag in trace.raised.all()} == {"review", "unsafe"}
    reviewer.post(address)
    assert not trace.raised.exists()


def test_only_readers_flag_an_answer(stranger, clinician, reviewer, trace):
    address = reverse("traces:flag", args=[trace.pk])
    assert "/sign-in/" in stranger.post(address).headers["Location"]
    assert clinician.post(address).status_code == 403
    assert reviewer.get(address).status_code == 405


def test_two_answers_are_compared_by_their_searches_and_words(reviewer, agentic):
    other = make_trace(answer="Take it at night.", tools=[])
    query = {"a": agentic.pk, "b": f"#{other.pk}"}
    page = reviewer.get(reverse("traces:compare"), query).content.decode()
    assert '<del class="only">with food.</del>' in page
    assert '<ins class="only">at night.</ins>' in page
    assert "no such call" in page


@pytest.mark.parametrize(
    "query", [{}, {"a": "1"}, {"a": "x", "b": "1"}, {"a": "1", "b": "999999"}]
)
def test_a_comparison_needs_two_traces(reviewer, query):
    assert reviewer.get(reverse("traces:compare"), query).status_code == 404


def test_a_restricted_answer_is_not_compared_in_words(reviewer):
    secret = make_trace(is_restricted=True, messages=[{"role": "user", "content": "secret"}])
    query = {"a": secret.pk, "b": make_trace().pk}
    page = reviewer.get(reverse("traces:compare"), query).content.decode()
    assert "secret" not in page


def test_a_trace_without_a_run_is_listed_and_shown(reviewer):
    trace = make_trace(origin="api")
    Trace.objects.filter(pk=trace.pk).update(run=None)
    assert reviewer.get(reverse("traces:list")).status_code == 200
    assert reviewer.get(reverse("traces:detail", args=[trace.pk])).status_code == 200
