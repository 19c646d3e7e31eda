"""A judge's endpoint in this process: ``Scripted(decide)`` answers as ``decide`` says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import httpx

from kos.data.rubrics import RubricItem, RubricTask
from kos.grading.base import Submission

ITEM = re.compile(r"(?:(k\d+): )?\[(-?[\d.]+) points\] (.+)")


class Scripted:
    """Counts requests, and how many were open at a time."""

    def __init__(self, decide: Callable[[str], Any], seconds: float = 0.0) -> None:
        self.decide = decide
        self.seconds = seconds
        self.asked: list[str] = []
        self.open = self.most_open = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(self.seconds)
        self.open -= 1
        question = json.loads(request.content)["messages"][1]["content"]
        self.asked.append(question)
        reply = self.decide(question)
        if isinstance(reply, httpx.Response):
            return reply
        text = reply if isinstance(reply, str) else json.dumps(reply)
        message = {"choices": [{"message": {"content": text}}], "usage": {"completion_tokens": 9}}
        return httpx.Response(200, json=message)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url="http://judge", transport=httpx.MockTransport(self))


def items_in(question: str) -> list[tuple[str, str]]:
    """Key ("" for a single one) and text of the items a question is about."""
    return [(key, text) for key, _, text in ITEM.findall(question)]


def met_if(*texts: str) -> Callable[[str], Any]:
    """A judge that finds exactly the items with these texts met."""

    def decide(question: str) -> Any:
        verdicts = [
            {"key": key, "explanation": "So it is.", "criteria_met": text in texts}
            for key, text in items_in(question)
        ]
        return {"verdicts": verdicts} if verdicts[0]["key"] else verdicts[0]

    return decide


def make_task(*items: tuple[str, float]) -> RubricTask:
    rubric = [RubricItem(key=f"i{n}", text=text, points=p) for n, (text, p) in enumerate(items)]
    return RubricTask(id="t", messages=[{"role": "user", "content": "Gout?"}], rubric=rubric)


def submit(task: RubricTask, answer: str = "Take colchicine.") -> Submission:
    return Submission(task, [("system", "Be brief."), ("user", "Gout?")], answer)
