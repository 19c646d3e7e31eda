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
    """Says the alphabet, one letter a token; ``!`` ends it. ``made`` counts the tokens.

    ``steps`` keeps how many answers each step gave a token.
    """

    end_ids = frozenset({ord("!")})

    def __init__(self, text: str = "abcdefghij!") -> None:
        self.text = text
        self.made = 0
        self.steps: list[int] = []
        self.gate = threading.Semaphore(10_000)
        self.rows: dict[int, Iterator[str]] = {}

    def encode(self, messages) -> list[int]:
        return self.tokenize("".join(message["content"] for message in messages))

    def tokenize(self, text) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids) -> str:
        return "".join(map(chr, ids))

    def begin(self, prompt, params) -> int:
        row = max(self.rows, default=0) + 1
        self.rows[row] = itertools.cycle(self.text)
        return row

    def step(self) -> list[tuple[int, int, float]]:
        self.gate.acquire()
        self.steps.append(len(self.rows))
        said = [(row, next(letters)) for row, letters in self.rows.items()]
        if any(letter == "?" for _, letter in said):
            raise RuntimeError("the model broke")
        self.made += len(said)
        return [(row, ord(letter), -0.5) for row, letter in said]

    def end(self, handle) -> None:
        del self.rows[handle]


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


async def test_answers_share_the_steps_of_the_model(served):
    model = Letters("ab" * 30 + "!")
    model.gate = threading.Semaphore(1)
    url = served(model)
    asking = asyncio.gather(*(answer(url, max_tokens=4 + 2 * i) for i in range(3)))
    await asyncio.sleep(0.3)
    model.gate.release(100)
    assert [text for text, _, _ in await asking] == ["abab", "ababab", "abababab"]
    assert max(model.steps) >= 2
    assert len(model.steps) < model.made


def complete(url: str, **fields) -> dict:
    with connect_sync(url) as http:
        body = {"model": "kos", "prompt": "Gout?"} | fields
        return http.post("/v1/completions", json=body).json()


def test_a_rendered_prompt_is_completed_with_token_ids_and_logprobs(served):
    body = complete(served(), max_tokens=2, logprobs=1, return_token_ids=True)
    assert body["choices"][0]["text"] == "ab"
    assert body["choices"][0]["token_ids"] == [97, 98]
    assert body["choices"][0]["logprobs"] == {"token_logprobs": [-0.5, -0.5]}
    assert body["usage"]["prompt_tokens"] == 5


@pytest.mark.parametrize(("stop", "text"), [("cd", "ab"), (["x", "b"], "a"), ("zz", "abcdefghij")])
def test_an_answer_ends_before_a_stop_string(served, stop, text):
    choice = complete(served(), stop=stop)["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == (text, "stop")


def test_what_only_looked_like_a_stop_string_is_told(served):
    assert complete(served(Letters("<|im!")), stop="<|im_end|>")["choices"][0]["text"] == "<|im"


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
