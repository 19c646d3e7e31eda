from __future__ import annotations

import pytest

from apps.deployments import comparing
from apps.deployments.models import Comparison, Usage
from kos.config import Remote
from kos.errors import UserError
from tests.apps.deployments.conftest import wait_for
from tests.factories import make_deployment, make_user
from tests.kos.serving import scripted

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other(transactional_db):
    """A second engine that ends otherwise."""
    with scripted.serve(words=("one", " two", " four")) as server:
        yield make_deployment(
            name="other",
            engine="remote",
            artifact=None,
            url=server.url,
            asking=Remote().asking.model_dump(mode="json"),
        )


def made(*deployments, prompts=("Gout?",), **options) -> Comparison:
    given = {"max_tokens": 9, "temperature": 0} | options
    return comparing.make(make_user(), prompts, deployments, **given)


async def run(comparison: Comparison) -> Comparison:
    await comparing.start_and_wait(comparison)
    await comparison.arefresh_from_db()
    return comparison


def run_now(comparison: Comparison) -> Comparison:
    from asgiref.sync import async_to_sync

    return async_to_sync(run)(comparison)


def test_answers_and_speed_stand_side_by_side(deployment, other):
    comparison = run_now(made(deployment, other))
    (one, two) = comparison.answers[0]
    assert (comparison.status, comparison.num_done) == ("done", 2)
    assert (one["text"], two["text"]) == ("one two three", "one two four")
    assert one["num_tokens"] == 3
    assert one["first_token_seconds"] <= one["seconds"]


def test_the_first_other_character_is_shown(deployment, other):
    comparison = run_now(made(deployment, other))
    ((_, (first, second)),) = comparing.table(comparison)
    assert (first.rest, second.same, second.rest) == ("", "one two ", "four")
    assert second.verdict == "differs from character 9 on"


def test_where_tokens_are_told_the_first_other_one_is_counted():
    one = {"text": "ab", "token_ids": [5, 6]}
    other = {"text": "ac", "token_ids": [5, 7]}
    assert comparing._against(one, {}, other).verdict.startswith("differs from token 2,")


def test_the_same_answer_says_so(deployment):
    twin = make_deployment(name="twin", engine="remote", artifact=None, url=deployment.url)
    comparison = run_now(made(deployment, twin))
    ((_, (_, second)),) = comparing.table(comparison)
    assert second.verdict == "the same, character for character"


def test_a_server_that_fails_fails_alone(deployment):
    gone = make_deployment(name="gone", engine="remote", artifact=None, url="http://127.0.0.1:9")
    comparison = run_now(made(gone, deployment))
    (bad, good) = comparison.answers[0]
    assert "does not answer" in bad["error"]
    assert good["text"] == "one two three"
    assert [line["num_failed"] for line in comparing.summary(comparison)] == [1, 0]


async def test_it_can_be_stopped_while_it_writes(deployment, other, engine, monkeypatch):
    from asgiref.sync import sync_to_async

    monkeypatch.setattr(comparing, "KEEP_SECONDS", 0.02)
    engine.words, engine.pause_seconds = ("word ",) * 500, 0.02
    comparison = await sync_to_async(made)(deployment, other)
    task = await comparing.start(comparison)
    while not comparison.answers[0][0] or not comparison.answers[0][0]["text"]:
        await task if task.done() else await sync_to_async(wait_for)(lambda: True)
    assert await sync_to_async(comparing.stop)(comparison)
    await task
    await comparison.arefresh_from_db()
    assert comparison.status == "stopped"
    assert comparison.answers[0][0]["text"].startswith("word ")
    assert comparison.answers[0][1] is None
    await sync_to_async(wait_for)(lambda: engine.gone == 1)


def test_what_it_took_is_counted(deployment, other):
    run_now(made(deployment, other))
    wait_for(lambda: Usage.objects.count() == 2)
    assert {row.source for row in Usage.objects.all()} == {"comparison"}


def test_one_whose_process_is_gone_has_failed(deployment, other):
    comparison = made(deployment, other)
    comparing.close_silent()
    Comparison.objects.update(touched="2026-01-01T00:00Z")
    comparing.close_silent()
    comparison.refresh_from_db()
    assert comparison.status == "failed"
    assert "restarted" in comparison.error


@pytest.mark.parametrize(
    ("prompts", "number", "sentence"),
    [([" "], 2, "1 to 8 prompts"), (["x" * 4001], 2, "Shorten"), (["a"], 1, "2 to 4")],
)
def test_what_cannot_be_compared_is_refused(prompts, number, sentence):
    with pytest.raises(UserError, match=sentence):
        made(*(make_deployment() for _ in range(number)), prompts=prompts)


def test_texts_part_where_one_goes_on():
    assert comparing.divergence("ab", "abc") == 2
    assert comparing.divergence("", "") is None
