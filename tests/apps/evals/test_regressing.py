from __future__ import annotations

import pytest
from django.urls import reverse

from apps.evals import regressing
from apps.traces import services
from apps.traces.models import Trace
from kos.messages import ToolCall, ToolRecord, TurnRecord
from tests.apps.evals.conftest import make_rollout, make_task
from tests.factories import make_artifact, make_run, make_version

HTMX = {"HX-Request": "true"}
CALL = ToolCall("functions.search_icd:0", "search_icd", '{"query": "gout"}')


@pytest.fixture
def played(db):
    """One answer of two turns, the first with a call that was left open."""
    run = make_run("evaluate", status="done", dataset=make_version(make_task("a")))
    turns = [
        TurnRecord(
            1, "<tool_call>", "", "", (CALL,), "stop", ("unclosed_call",), 900, 9, 0.0, None, 1.0
        ),
        TurnRecord(2, "Rest.", "", "Rest.", (), "stop", (), 5000, 9, 1.0, None, 1.0),
    ]
    tools = [ToolRecord(CALL, "M10.9 ZQX", "", "embedded", True, 0.0, 0.1, 1)]
    fields = {"turns": tuple(turns), "tools": tuple(tools), "flags": ("unclosed_call",)}
    rows = [make_rollout("served", "a", "ynyy", answer="ZQX means rest. KWZ too.", **fields)]
    services.record(run, 1, rows, origin="evaluation")
    return run


def url(run, model="served") -> str:
    return f"{reverse('evals:regressions', args=[run.pk])}?model={model}"


def test_turns_and_calls_are_read_back_as_they_were(played):
    said = regressing.said_in(played, "served")["a", 0]
    assert (said.num_turns, said.context) == (2, 5000)
    assert said.tools[0].is_error
    assert "ZQX" in said.given


def test_the_section_tells_rates_bands_and_words(engineer, played):
    page = engineer.get(url(played), headers=HTMX).content.decode()
    assert page.lstrip().startswith("<section")
    assert f"?run={played.pk}&amp;model=served&amp;flag=unclosed_call" in page
    assert "4k to 16k" in page and "KWZ 1" in page and "ZQX" not in page


def test_without_htmx_it_is_a_page_of_its_own(reviewer, played):
    assert "<h1>" in reviewer.get(url(played)).content.decode()


def test_words_of_a_restricted_run_are_not_listed(engineer, played):
    played.dataset.is_restricted = True
    played.dataset.save(update_fields=["is_restricted"])
    assert "KWZ" not in engineer.get(url(played)).content.decode()


def test_the_run_page_asks_for_the_section(engineer, played):
    page = engineer.get(reverse("evals:run", args=[played.pk])).content.decode()
    assert f'hx-get="{url(played)}"' in page


def test_flags_behind_a_rate_can_be_filtered_by(engineer, played):
    Trace.objects.update(flags=["stray_think_close"])
    found = engineer.get(reverse("traces:list"), {"flag": "stray_think_close"}).content.decode()
    assert 'value="stray_think_close" selected' in found


def test_a_benchmarks_own_numbers_stand_on_the_run_page(engineer, played):
    figure = {"model": "served", "name": "pass^3", "part": "chart 60k", "value": 0.5}
    figure |= {"low": 0.1, "high": 0.9, "n": 6, "unit": "share", "note": "mean over tasks"}
    summary = {"models": [], "benchmark": "Physicians' tasks", "figures": [figure]}
    make_artifact("report", run=played, summary=summary)
    page = engineer.get(reverse("evals:run", args=[played.pk])).content.decode()
    assert "pass^3" in page and "chart 60k" in page and "10.0 % to 90.0 %" in page


def test_two_models_are_compared(engineer, run):
    sides = {"a": f"{run.pk}:base", "b": f"{run.pk}:trained"}
    page = engineer.get(reverse("evals:changes"), sides).content.decode()
    assert "Cut at its longest length" in page and "1/3" in page and "0/3" in page
    assert "answers a side" in page
    assert (
        reverse("evals:changes") in engineer.get(reverse("evals:compare"), sides).content.decode()
    )


def test_access(stranger, clinician, engineer, run, played):
    changes = f"{reverse('evals:changes')}?a={run.pk}:base&b={run.pk}:trained"
    for path in (url(played), changes):
        assert "/sign-in/" in stranger.get(path).headers["Location"]
        assert clinician.get(path).status_code == 403
        assert engineer.post(path).status_code == 405
    assert engineer.get(url(played, "nobody")).status_code == 404
    assert engineer.get(reverse("evals:changes")).status_code == 404
