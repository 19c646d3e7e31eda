from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator

import httpx
import pytest

from kos.errors import UserError
from kos.messages import Message
from kos.serving import local
from kos.serving.client import HttpClient, connect, connect_sync, socket_url
from kos.serving.tokens import HuggingFaceModel
from tests.kos.serving.tiny import make_tiny

ASK = {"model": "kos", "messages": [{"role": "user", "content": "Gout?"}]}


class Letters:
    """Says the alphabet, one letter a token; ``!`` ends it. ``made`` counts the tokens."""

    end_ids = frozenset({ord("!")})

    def __init__(self, text: str = "abcdefghij!") -> None:
        self.text = text
        self.made = 0
        self.gate = threading.Semaphore(10_000)

    def encode(self, messages) -> list[int]:
        return [ord(letter) for message in messages for letter in message["content"]]

    def decode(self, ids) -> str:
        return "".join(map(chr, ids))

    def stream(self, prompt, **options) -> Iterator[int]:
        for letter in itertools.cycle(self.text):
            self.gate.acquire()
            if letter == "?":
                raise RuntimeError("the model broke")
            self.made += 1
            yield ord(letter)


@pytest.fixture
def served(tmp_path):
    """Serve a model on a fresh socket and return its URL."""
    running = []

    def start(model=None, max_context=64) -> str:
        path = tmp_path / f"{len(running)}.sock"
        server = local.serve(model or Letters(), name="kos", path=path, max_context=max_context)
        running.append((server, server.__enter__()))
        return socket_url(path)

    yield start
    for manager, _ in running:
        manager.__exit__(None, None, None)


def ask(url: str, **fields) -> httpx.Response:
    with connect_sync(url) as http:
        return http.post("/v1/chat/completions", json=ASK | fields)


async def answer(url: str, text: str = "Gout?", max_tokens: int = 20) -> tuple[str, str, int]:
    deltas = [
        delta
        async for delta in HttpClient(url, "kos").stream_chat(
            [Message("user", text)], max_tokens=max_tokens, temperature=0
        )
    ]
    text = "".join(delta.text for delta in deltas)
    return text, deltas[-2].finish_reason, deltas[-1].num_tokens


def test_a_whole_answer_says_what_it_took(served):
    body = ask(served()).json()
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "abcdefghij"}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 10, "total_tokens": 15}


async def test_a_streamed_answer_says_the_same(served):
    assert await answer(served()) == ("abcdefghij", "stop", 10)


async def test_an_answer_ends_at_its_token_limit(served):
    assert await answer(served(), max_tokens=3) == ("abc", "length", 3)


async def test_an_answer_ends_at_the_end_of_the_context(served):
    assert await answer(served(max_context=9)) == ("abcd", "length", 4)


async def test_a_conversation_that_is_too_long_is_refused_with_numbers(served):
    with pytest.raises(UserError, match=r"\(400\): The conversation takes 70 tokens .* 64 with"):
        await answer(served(), text="x" * 70)


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"messages": []}, 400, "messages: "),
        ({"temperature": 3}, 400, "temperature: "),
        ({"model": "gpt"}, 404, "serves 'kos'"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(served, fields, status, sentence):
    response = ask(served(), **fields)
    assert response.status_code == status
    assert sentence in response.json()["error"]["message"]


def test_the_server_names_its_model_and_its_health(served):
    with connect_sync(served()) as http:
        assert http.get("/health").status_code == 200
        assert [model["id"] for model in http.get("/v1/models").json()["data"]] == ["kos"]
        assert http.get("/nothing").status_code == 404


def test_text_may_come_in_parts(served):
    parts = [{"type": "text", "text": "Go"}, {"type": "text", "text": "ut?"}]
    body = ask(served(), messages=[{"role": "user", "content": parts}]).json()
    assert body["usage"]["prompt_tokens"] == 5


async def test_two_answers_are_made_in_turn(served):
    model = Letters("ab" * 30 + "!")
    url = served(model)
    first, second = await asyncio.gather(answer(url, max_tokens=30), answer(url, max_tokens=4))
    assert (first[0], second[0]) == ("ab" * 15, "abab")


async def test_a_client_that_leaves_stops_the_model(served):
    model = Letters("a")
    model.gate = threading.Semaphore(5)
    url = served(model, max_context=100_000)
    async with connect(url) as http:
        body = ASK | {"stream": True, "max_tokens": 90_000}
        async with http.stream("POST", "/v1/chat/completions", json=body) as response:
            assert await anext(response.aiter_bytes())
    await asyncio.sleep(0.2)
    model.gate.release(1000)
    await asyncio.sleep(0.2)
    assert model.made <= 6


def test_a_model_that_breaks_ends_the_server_and_says_so(served, tmp_path):
    with pytest.raises(RuntimeError, match="the model broke"):
        path = tmp_path / "broken.sock"
        with local.serve(Letters("a?"), name="kos", path=path, max_context=64) as server:
            assert ask(socket_url(path)).status_code == 503
            assert ask(socket_url(path)).status_code == 503
            server.check()


def test_only_the_owner_may_use_the_socket(served, tmp_path):
    served()
    assert (tmp_path / "0.sock").stat().st_mode & 0o777 == 0o600


async def test_a_real_model_answers_over_its_socket(served, tmp_path):
    url = served(HuggingFaceModel(make_tiny(tmp_path / "tiny")), max_context=200)
    text, reason, num_tokens = await answer(url, max_tokens=12)
    assert (reason, num_tokens) == ("length", 12)
    assert text
