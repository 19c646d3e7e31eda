from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from kos.errors import UserError
from kos.messages import Message, ToolCall
from kos.serving.client import Delta, HttpClient, ScriptedClient, address, socket_url

ASK = (Message("user", "Gout?"),)
PAYLOADS = Path(__file__).parent


def client(body: bytes, *, status: int = 200, asked: list | None = None) -> HttpClient:
    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        return httpx.Response(status, content=body)

    return HttpClient("http://x", "kos", transport=httpx.MockTransport(answer))


async def deltas(client: HttpClient | ScriptedClient) -> list[Delta]:
    return [delta async for delta in client.stream_chat(ASK, max_tokens=5, temperature=0)]


def test_a_socket_path_survives_its_url():
    url = socket_url(Path("/tmp/a b/x.sock"))
    assert url == "http+unix://%2Ftmp%2Fa%20b%2Fx.sock"
    assert address(url) == ("http://model", "/tmp/a b/x.sock")
    assert address("http://host:8000/") == ("http://host:8000", None)


async def test_tool_calls_arrive_whole_with_the_finish_reason():
    found = await deltas(client((PAYLOADS / "openai_stream_toolcall.sse").read_bytes()))
    call = ToolCall("functions.search_icd:0", "search_icd", '{"query":"gout"}')
    assert "".join(delta.thinking for delta in found) == "I should look up the code."
    assert found[-2:] == [
        Delta(tool_calls=(call,), finish_reason="tool_calls"),
        Delta(num_tokens=31),
    ]


@pytest.mark.parametrize(
    ("name", "reason"), [("truncated", "length"), ("repetition", "repetition")]
)
async def test_the_finish_reason_is_passed_on(name, reason):
    found = await deltas(client((PAYLOADS / f"openai_stream_{name}.sse").read_bytes()))
    assert found[-1].finish_reason == reason


async def test_a_line_separator_inside_the_text_does_not_cut_the_event():
    body = 'data: {"choices":[{"delta":{"content":"a\u2028b"},"finish_reason":"stop"}]}\n\n'
    assert (await deltas(client(body.encode())))[0].text == "a\u2028b"


async def test_the_request_is_openai_s():
    asked: list[httpx.Request] = []
    await deltas(client(b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', asked=asked))
    body = httpx.Response(200, content=asked[0].content).json()
    assert asked[0].url.path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": "Gout?"}]
    assert body["stream"] is True


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"error": {"message": "too long"}}', "too long"),
        (b'{"detail": "no model"}', "no model"),
        (b"plain words", "plain words"),
        (b"", "Bad Request"),
    ],
)
async def test_a_refusal_is_told_in_the_server_s_words(body, sentence):
    with pytest.raises(UserError, match=rf"\(400\): {sentence}"):
        await deltas(client(body, status=400))


async def test_a_server_that_is_not_there_is_named():
    nowhere = HttpClient(socket_url(Path("/nowhere/x.sock")), "kos")
    with pytest.raises(UserError, match="'kos' does not answer"):
        await deltas(nowhere)


async def test_a_stream_without_an_end_is_an_error():
    with pytest.raises(UserError, match="broke off"):
        await deltas(client(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'))


async def test_an_error_inside_the_stream_is_told():
    with pytest.raises(UserError, match="out of memory"):
        await deltas(client(b'data: {"error": {"message": "out of memory"}}\n\n'))


class Endless(httpx.AsyncByteStream):
    """A stream that never ends and knows whether it was closed."""

    is_closed = False

    async def __aiter__(self):
        while True:
            yield b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        self.is_closed = True


async def test_closing_the_iterator_closes_the_connection():
    stream = Endless()
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=stream))
    asking = HttpClient("http://x", "kos", transport=transport).stream_chat(
        ASK, max_tokens=5, temperature=0
    )
    async with aclosing(asking) as found:
        assert (await anext(found)).text == "a"
    assert stream.is_closed


async def test_a_cancelled_reader_closes_the_connection():
    stream = Endless()
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=stream))
    task = asyncio.create_task(deltas(HttpClient("http://x", "kos", transport=transport)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stream.is_closed


async def test_the_scripted_client_keeps_what_it_was_asked():
    scripted = ScriptedClient(["Hello", UserError("gone")])
    assert "".join(delta.text for delta in await deltas(scripted)) == "Hello"
    assert scripted.asked == [ASK]
    with pytest.raises(UserError, match="gone"):
        await deltas(scripted)
