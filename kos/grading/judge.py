"""A language model as judge, over any OpenAI-compatible endpoint.

Defaults follow the evidence: one item a call for evaluations (HealthBench; arXiv:2603.00077), all
items in one call, shuffled and echoed by key, where speed counts more (arXiv:2602.02219: order
shifts scores, a few permutations cut most of it). A reply that cannot be read is asked for
again, at most ``tries`` times; after that the item is ungraded, never "not met".
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import httpx
from pydantic import Field, model_validator

from kos.data.rubrics import RubricItem
from kos.digests import text_digest
from kos.errors import UserError
from kos.events import ItemGrade, Job
from kos.grading import wording
from kos.grading.base import GRADERS, Grader, Submission
from kos.grading.cache import RulingCache, open_cache
from kos.grading.endpoint import Endpoint, NoReplyError, Reply
from kos.grading.score import grade
from kos.grading.wording import Ruling, UnreadableError
from kos.serving.client import connect

CACHE = "rulings.sqlite3"


@GRADERS.register
class Judge(Grader):
    """A language model reads the answer and decides (OpenAI-compatible endpoint)."""

    kind: Literal["judge"] = "judge"
    url: str = Field(
        "http://127.0.0.1:8001", pattern=r"^http(s|\+unix)?://\S+$", description="Without /v1."
    )
    model: str = Field("judge", min_length=1, max_length=200, description="Its name there.")
    key: str = Field("", max_length=80, description="Name of the key to send, if it asks one.")
    asks: Literal["item", "rubric"] = Field(
        "item", description="item: one item a call; rubric: all at once, shuffled."
    )
    votes: int = Field(1, ge=1, le=15, description="Decisions an item; the majority counts.")
    max_tokens: int = Field(1024, ge=16, le=32768, description="Longest reply.")
    temperature: float = Field(0.0, ge=0, le=2, description="0 makes a judge repeatable.")
    in_flight: int = Field(16, ge=1, le=512, description="Open requests at a time.")
    tries: int = Field(3, ge=1, le=10, description="Tries before an item is left ungraded.")
    timeout_seconds: float = Field(120, gt=0, le=3600, description="Longest wait for a reply.")

    @model_validator(mode="after")
    def _votes_can_differ(self) -> Self:
        if self.votes > 1 and self.asks == "item" and self.temperature == 0:
            raise ValueError(
                "several votes on one item at temperature 0 are all the same: raise the "
                "temperature, or ask about the whole rubric, whose order changes with the vote"
            )
        return self

    @property
    def name(self) -> str:
        """Who decided, with the version of what it was asked."""
        return f"judge:{self.model}@{self.version}"[:80]

    @property
    def version(self) -> str:
        """A digest of all that can change a ruling: model, place, parameters, wording."""
        told = self.model_dump_json(exclude={"in_flight", "tries", "timeout_seconds", "key"})
        return text_digest(told, wording.version())[:8]

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[JudgeAtWork]:
        """Connect; rulings of an earlier attempt lie in the run's folder."""
        secret = job.secret(self.key) if self.key else ""
        http = connect(self.url, key=secret, silence_seconds=self.timeout_seconds)
        async with http:
            with open_cache(job.folder / CACHE) as cache:
                yield self.at_work(http, cache, job.seed)

    def at_work(
        self, http: httpx.AsyncClient, cache: RulingCache, seed: int, *, is_reversed: bool = False
    ) -> JudgeAtWork:
        """The judge on an open connection; ``is_reversed`` turns every order of items round."""
        params = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        limits = (self.in_flight, self.tries, self.timeout_seconds)
        endpoint = Endpoint(http, self.model, params, *limits)
        return JudgeAtWork(self, endpoint, cache, seed, is_reversed)


@dataclass(frozen=True)
class JudgeAtWork:
    """The judge while it grades."""

    judge: Judge
    endpoint: Endpoint
    cache: RulingCache
    seed: int
    is_reversed: bool = False

    async def grade(self, submission: Submission) -> tuple[ItemGrade, ...]:
        """Checks by rule, the rest by the judge."""
        found = {item.key: item for item in grade(submission.task, submission.answer)}
        asked = [item for item in submission.task.rubric if item.is_judged]
        votes = await asyncio.gather(
            *(self._vote(submission, asked, number) for number in range(self.judge.votes))
        )
        for item in asked:
            found[item.key] = self._majority(item, [vote[item.key] for vote in votes])
        return tuple(found.values())

    async def _vote(
        self, submission: Submission, items: Sequence[RubricItem], vote: int
    ) -> dict[str, ItemGrade]:
        """One decision on every item."""
        found: dict[str, ItemGrade] = {}
        if self.judge.asks == "rubric" and len(items) > 1:
            found = await self._ask_all(submission, items, vote)
        missing = [item for item in items if item.key not in found]
        grades = await asyncio.gather(*(self._ask_one(submission, i, vote) for i in missing))
        return found | {one.key: one for one in grades}

    async def _ask_one(self, submission: Submission, item: RubricItem, vote: int) -> ItemGrade:
        key = self._cache_key(submission, [item], vote)
        if kept := self.cache.get(key):
            return self._decided(item, Ruling(**kept["ruling"]), Reply(**kept["reply"]), 1, True)
        problem = ""
        messages = question = wording.ask_one(submission, item)
        for attempt in range(1, self.judge.tries + 1):
            try:
                reply = await self.endpoint.ask(messages)
            except NoReplyError as error:
                return self._undecided(item, str(error), self.judge.tries)
            try:
                ruling = wording.read_one(reply.text)
            except UnreadableError as error:
                problem = str(error)
                messages = wording.ask_again(question, reply.text, problem)
                continue
            self.cache.put(key, {"ruling": ruling._asdict(), "reply": reply._asdict()})
            return self._decided(item, ruling, reply, attempt)
        return self._undecided(item, problem, self.judge.tries)

    async def _ask_all(
        self, submission: Submission, items: Sequence[RubricItem], vote: int
    ) -> dict[str, ItemGrade]:
        """All items in one call, in an order of its own for every vote.

        Items whose key does not come back exactly once are left out.
        """
        cache_key = self._cache_key(submission, items, vote)
        order = [*items]
        random.Random(f"{self.seed},{vote},{cache_key}").shuffle(order)  # noqa: S311
        if self.is_reversed:
            order.reverse()
            cache_key += ",reversed"
        named = {f"k{place}": item for place, item in enumerate(order, 1)}
        if kept := self.cache.get(cache_key):
            reply, is_cached = Reply(**kept["reply"]), True
        else:
            try:
                reply = await self.endpoint.ask(wording.ask_all(submission, [*named.items()]))
            except NoReplyError:
                return {}
            is_cached = False
        try:
            rulings = wording.read_all(reply.text, [*named])
        except UnreadableError:
            return {}
        self.cache.put(cache_key, {"reply": reply._asdict()})
        share = reply._replace(
            num_tokens=reply.num_tokens // len(named),
            num_prompt_tokens=reply.num_prompt_tokens // len(named),
        )
        return {
            named[key].key: self._decided(named[key], ruling, share, 1, is_cached)
            for key, ruling in rulings.items()
        }

    def _cache_key(self, submission: Submission, items: Sequence[RubricItem], vote: int) -> str:
        told: list[Any] = [[wording.text_of(item), item.points] for item in items]
        conversation = json.dumps([*submission.messages])
        return text_digest(
            self.judge.name, conversation, submission.answer, json.dumps(told), str(vote)
        )

    def _decided(
        self,
        item: RubricItem,
        ruling: Ruling,
        reply: Reply,
        attempts: int,
        is_cached: bool = False,
    ) -> ItemGrade:
        return ItemGrade(
            key=item.key,
            text=item.text,
            points=item.points,
            met=ruling.met,
            grader=self.judge.name,
            note=ruling.explanation,
            tags=item.tags,
            raw=reply.text,
            attempts=attempts,
            seconds=reply.seconds,
            num_tokens=reply.num_tokens,
            is_cached=is_cached,
            num_prompt_tokens=reply.num_prompt_tokens,
        )

    def _undecided(self, item: RubricItem, problem: str, attempts: int) -> ItemGrade:
        return ItemGrade(
            key=item.key,
            text=item.text,
            points=item.points,
            met=None,
            grader=self.judge.name,
            note=problem,
            tags=item.tags,
            attempts=attempts,
        )

    def _majority(self, item: RubricItem, votes: Sequence[ItemGrade]) -> ItemGrade:
        """The grade most votes agree on; a tie, or no vote at all, leaves it ungraded."""
        if len(votes) == 1:
            return votes[0]
        met = [vote for vote in votes if vote.met is True]
        unmet = [vote for vote in votes if vote.met is False]
        if len(met) == len(unmet):
            return self._undecided(item, f"{len(met)} votes for and against", len(votes))
        winners = max(met, unmet, key=len)
        note = f"{len(winners)} of {len(votes)} votes. {winners[0].note}"
        return replace(
            winners[0],
            note=note,
            seconds=sum(vote.seconds for vote in votes),
            num_tokens=sum(vote.num_tokens for vote in votes),
            num_prompt_tokens=sum(vote.num_prompt_tokens for vote in votes),
            attempts=sum(vote.attempts for vote in votes),
        )


async def probe(judge: Judge, secret: str = "") -> str:
    """Ask the judge for a word; its reply, or UserError that says what is wrong."""
    async with connect(judge.url, key=secret, silence_seconds=judge.timeout_seconds) as http:
        endpoint = Endpoint(http, judge.model, {"max_tokens": 8, "temperature": 0}, 1, 1)
        try:
            reply = await endpoint.ask([{"role": "user", "content": "Reply with the word ready."}])
        except NoReplyError as error:
            raise UserError(f"The judge at {judge.url} gives {error}.") from error
        return reply.text
