"""Kos as a list of answers: what the client sent is kept, what it gets is scripted."""

from __future__ import annotations

import httpx

from kos.client import Kos


class Answers(httpx.BaseTransport):
    """Gives its answers in turn, the last one ever after; an exception is raised."""

    def __init__(self, *answers):
        self.answers = [*answers]
        self.asked = []

    def handle_request(self, request):
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


def client(*answers, **options):
    """A client of ``answers``; ``slept`` has how long it waited between its tries."""
    transport = Answers(*answers)
    slept = []
    kos = Kos("http://kos.test", "kos_t", transport=transport, sleep=slept.append, **options)
    return kos, transport.asked, slept


def ok(data, status=200):
    return lambda request: httpx.Response(status, json=data)


def refusal(status, headers=None, **problem):
    content = {"Content-Type": "application/problem+json", **(headers or {})}
    return lambda request: httpx.Response(
        status, json={"title": "No", "status": status, **problem}, headers=content
    )
