"""A model behind an OpenAI-compatible address as critic, where the policy should not judge itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from kos.data.rubrics import RubricItem, RubricTask
from kos.grading.base import Submission
from kos.grading.endpoint import Endpoint, NoReplyError
from kos.grading.pairwise import compare
from kos.grading.wording import UnreadableError, ask_one, read_one
from kos.rl.critic.base import Broken, any_broken, broken_by_rule, usual_win_rates
from kos.rl.critic.judgement import Bout, Judgement, pairs_of
from kos.rl.critic.rubrics import Rubric

# Weight of an item in a pairwise question: the judge is shown the text alone.
POINT = 1.0


@dataclass(frozen=True)
class EndpointCritic:
    """A judge compares the answers; ``connect`` opens its connection anew for each group.

    A comparison without a readable reply has no verdict.
    """

    connect: Callable[[], httpx.AsyncClient]
    model: str
    max_tokens: int = 1024
    in_flight: int = 16
    tries: int = 3

    def judge(
        self,
        task: RubricTask,
        answers_G: Sequence[str],
        *,
        rubrics: Sequence[Rubric],
        mandatory: Sequence[Rubric],
    ) -> Judgement:
        """Every pair in both orders, every mandatory rubric once an answer."""
        work = self._judge(task, answers_G, rubrics, mandatory)
        # The training loop may itself run in an event loop, where another cannot be started.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, work).result()

    def win_rates(self, task: RubricTask, answers_G: Sequence[str]) -> list[float | None]:
        """By all rubrics that fit."""
        return usual_win_rates(self, task, answers_G)

    async def _judge(
        self,
        task: RubricTask,
        answers_G: Sequence[str],
        rubrics: Sequence[Rubric],
        mandatory: Sequence[Rubric],
    ) -> Judgement:
        sent = [(turn.role, turn.content) for turn in task.messages]
        submissions = [Submission(task, sent, answer) for answer in answers_G]
        asked = [rubric for rubric in mandatory if rubric.fault is None]
        async with self.connect() as http:
            params = {"max_tokens": self.max_tokens, "temperature": 0.0}
            endpoint = Endpoint(http, self.model, params, self.in_flight, self.tries)
            pairs = pairs_of(len(answers_G)) if rubrics else []
            criteria = [_item(rubric) for rubric in rubrics]
            bouts, broken = await asyncio.gather(
                asyncio.gather(*(_bout(endpoint, submissions, pair, criteria) for pair in pairs)),
                asyncio.gather(
                    *(
                        _breaks(endpoint, submission, rubric)
                        for submission in submissions
                        for rubric in asked
                    )
                ),
            )
        width = len(asked)
        broken_G = [
            broken_by_rule(answer, mandatory) or any_broken(broken[place * width :][:width])
            for place, answer in enumerate(answers_G)
        ]
        return Judgement(tuple(bouts), tuple(broken_G))


async def _bout(
    endpoint: Endpoint,
    submissions: Sequence[Submission],
    pair: tuple[int, int],
    criteria: Sequence[RubricItem],
) -> Bout:
    first, second = pair
    found = await compare(endpoint, submissions[first], submissions[second], criteria)
    return Bout(first, second, found.preference, found.is_flipped)


async def _breaks(endpoint: Endpoint, submission: Submission, rubric: Rubric) -> Broken:
    fault = RubricItem(
        key=rubric.key, text=f"The answer breaks this rule: {rubric.text}", points=-POINT
    )
    try:
        return read_one((await endpoint.ask(ask_one(submission, fault))).text).met
    except (NoReplyError, UnreadableError):
        return None


def _item(rubric: Rubric) -> RubricItem:
    return RubricItem(key=rubric.key, text=f"{rubric.title}: {rubric.text}", points=POINT)
