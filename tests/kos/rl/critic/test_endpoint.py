from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from kos.rl.critic.endpoint import EndpointCritic
from kos.rl.critic.rubrics import RUBRICS, chosen
from tests.kos.engine.tiny import make_tasks

TASK = make_tasks()[0]
CLARITY = [RUBRICS["clarity"]]


def judge_that(reply):
    """A server whose judge answers by ``reply(text of the question)``."""

    def answer(request: httpx.Request) -> httpx.Response:
        text = json.loads(request.content)["messages"][-1]["content"]
        return httpx.Response(200, json={"choices": [{"message": {"content": reply(text)}}]})

    transport = httpx.MockTransport(answer)
    return EndpointCritic(lambda: httpx.AsyncClient(transport=transport, base_url="http://j"), "j")


def longer_is_better(text: str) -> str:
    if "criteria_met" in text:
        return json.dumps({"criteria_met": "Never." in text, "explanation": ""})
    a, b = (
        text.partition(f"<answer_{side}>")[2].partition(f"</answer_{side}>")[0] for side in "ab"
    )
    return json.dumps({"better": "a" if len(a) > len(b) else "b", "explanation": ""})


def test_a_judge_elsewhere_compares_every_pair():
    answers = ["Rest.", "Rest and fluids.", "Rest, fluids and a doctor."]
    found = judge_that(longer_is_better).judge(TASK, answers, rubrics=CLARITY, mandatory=[])
    assert found.win_rates() == [0.0, 0.5, 1.0]


def test_a_judge_that_likes_a_place_has_decided_nothing():
    critic = judge_that(lambda text: '{"better": "a"}')
    [bout] = critic.judge(TASK, ["x", "y"], rubrics=CLARITY, mandatory=[]).bouts
    assert (bout.preference, bout.is_flipped) == ("tie", True)


def test_a_reply_that_cannot_be_read_is_no_verdict():
    critic = judge_that(lambda text: "I like both.")
    found = critic.judge(TASK, ["x", "y"], rubrics=CLARITY, mandatory=[])
    assert found.values("win_rate") == [None, None]


def test_a_mandatory_rubric_is_asked_of_every_answer():
    critic = judge_that(longer_is_better)
    mandatory = chosen(["calibrated_uncertainty"])
    found = critic.judge(TASK, ["Maybe.", "Never."], rubrics=CLARITY, mandatory=mandatory)
    assert found.broken_G == (False, True)


@pytest.mark.asyncio
async def test_it_can_be_asked_from_within_an_event_loop():
    await asyncio.sleep(0)
    found = judge_that(longer_is_better).judge(TASK, ["x", "yy"], rubrics=CLARITY, mandatory=[])
    assert found.win_rates() == [0.0, 1.0]
