from __future__ import annotations

import json

import pytest
from django.urls import reverse

from apps.runs.models import Run
from apps.traces import steps, tokens
from apps.traces.models import Trace
from tests.factories import make_run, make_trace, make_version

LOGGED = {
    "advantage": 0.5,
    "pieces": ["Take", " two", " <b>"],
    "sampled": [-0.01, -2.0, -0.5],
    "trained": [-0.02, -1.0, None],
    "versions": [3, 3, 4],
}


@pytest.fixture
def run(db) -> Run:
    return make_run("train", status="done", dataset=make_version())


def rollout(run: Run, sample: int, reward: float | None, **fields: object) -> Trace:
    parts = {"rubric": 0.5, "bonus_output": (reward or 0.5) - 0.5}
    fields = {"components": parts, "advantage": 0.1} | fields
    return make_trace(run=run, step=7, example_id="dose", sample=sample, reward=reward, **fields)


def write(run: Run, *samples: int, step: int = 7, **changed: object) -> None:
    path = tokens.path_of(run, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"example_id": "dose", "sample": sample} | LOGGED | changed for sample in samples]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_answers_stand_by_group_with_their_parts_to_one_scale(run):
    found = steps.groups_of([rollout(run, 0, 1.0), rollout(run, 1, 0.5)])
    assert [group.example_id for group in found] == ["dose"]
    rubric, bonus = found[0].rollouts[0].bits
    assert (rubric.x, rubric.width, rubric.colour) == (0, 50, 1)
    assert (bonus.x, bonus.width, bonus.colour) == (50, 50, 2)
    assert found[0].rollouts[1].bits[1].width == 0


def test_the_best_answer_is_marked_unless_all_are_alike(run):
    unlike = steps.groups_of([rollout(run, 0, 1.0), rollout(run, 1, 0.5)])[0]
    assert [one.is_best for one in unlike.rollouts] == [True, False]
    alike = steps.groups_of([rollout(run, 2, 0.5), rollout(run, 3, 0.5)])[0]
    assert alike.is_equal
    assert not any(one.is_best for one in alike.rollouts)


def test_what_was_lost_has_no_bar(run):
    trace = rollout(run, 0, 0.4, components={"rubric": 0.5, "repetition": -0.1})
    assert [bit.width for bit in steps.groups_of([trace])[0].rollouts[0].bits] == [100, 0]


def test_ungraded_answers_are_counted_and_do_not_count(run):
    group = steps.groups_of([rollout(run, 0, 0.5), rollout(run, 1, None)])[0]
    assert (group.num_ungraded, group.mean, group.is_equal) == (1, 0.5, True)


def test_the_page_shows_the_step_and_its_neighbours(engineer, run):
    rollout(run, 0, 0.75)
    make_trace(run=run, step=5)
    page = engineer.get(reverse("steps:detail", args=[run.pk, 7])).content.decode()
    assert "ended by" in page
    assert reverse("steps:detail", args=[run.pk, 5]) in page
    assert "Token by token" not in page


def test_a_step_without_rollouts_says_so(engineer, run):
    page = engineer.get(reverse("steps:detail", args=[run.pk, 3]))
    assert page.status_code == 200
    assert "No rollouts of step 3" in page.content.decode()


def test_tokens_are_coloured_by_what_the_trainer_thinks(run):
    write(run, 0)
    read = tokens.read(rollout(run, 0, 0.5))
    assert read is not None
    assert [token.tint for token in read.tokens] == ["m0", "m3", "m0"]
    assert read.versions == [3, 4]
    assert read.largest is not None
    assert (read.largest.place, read.largest.difference) == (2, 1.0)
    # Half the mean square of the two known differences, -0.01 and 1.
    assert read.kl == pytest.approx((0.01**2 + 1) / 4)


def test_a_token_the_trainer_finds_unlikely_is_of_the_other_colour(run):
    write(run, 0, trained=[-0.01, -2.1, -0.8])
    read = tokens.read(rollout(run, 0, 0.5))
    assert read is not None
    assert [token.tint for token in read.tokens] == ["m0", "l1", "l2"]


def test_or_by_how_likely_they_were(run):
    write(run, 0)
    read = tokens.read(rollout(run, 0, 0.5), by="probability")
    assert read is not None
    assert [token.tint for token in read.tokens] == ["t0", "t3", "t1"]


def test_the_rollout_is_found_by_prompt_and_sample(run):
    write(run, 0, 1, 2)
    assert tokens.read(rollout(run, 2, 0.5)) is not None
    assert tokens.read(rollout(run, 3, 0.5)) is None


def test_a_long_answer_comes_in_pages(run, monkeypatch):
    monkeypatch.setattr(tokens, "PAGE", 2)
    write(run, 0)
    read = tokens.read(rollout(run, 0, 0.5), after=2)
    assert read is not None
    assert ([token.place for token in read.tokens], read.num_tokens) == ([3], 3)


def test_the_words_of_a_restricted_set_stay_where_they_are(engineer, run):
    write(run, 0, pieces=[])
    trace = rollout(run, 0, 0.5, is_restricted=True, answer="Take two.")
    page = engineer.get(reverse("steps:detail", args=[run.pk, 7])).content.decode()
    assert "Take two." not in page
    write(run, 0)
    page = engineer.get(reverse("steps:tokens", args=[run.pk, 7, trace.pk])).content.decode()
    assert " two" not in page
    assert "#2" in page


def test_tokens_unfold_on_the_page_or_stand_on_their_own(engineer, run):
    write(run, 0)
    trace = rollout(run, 0, 0.5)
    path = reverse("steps:tokens", args=[run.pk, 7, trace.pk])
    assert "Token by token" in engineer.get(reverse("steps:detail", args=[run.pk, 7])).text
    whole = engineer.get(path).content.decode()
    part = engineer.get(path, headers={"HX-Request": "true"}).content.decode()
    assert "<html" in whole
    assert "<html" not in part
    assert "&lt;b&gt;" in part
    assert "<b>" not in part


def test_tokens_are_asked_of_the_step_they_are_of(engineer, run):
    trace = rollout(run, 0, 0.5)
    assert engineer.get(reverse("steps:tokens", args=[run.pk, 6, trace.pk])).status_code == 404
    assert engineer.get(reverse("steps:tokens", args=[run.pk, 7, trace.pk])).status_code == 200


def test_a_step_is_for_readers(engineer, reviewer, clinician, stranger, run):
    rollout(run, 0, 0.5)
    path = reverse("steps:detail", args=[run.pk, 7])
    assert engineer.post(path).status_code == 405
    assert reviewer.get(path).status_code == 200
    assert clinician.get(path).status_code == 403
    assert "/sign-in/" in stranger.get(path).headers["Location"]
