from __future__ import annotations

import asyncio
import json
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
        Delta(num_tokens=31, num_prompt_tokens=210),
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


async def test_an_event_that_is_no_json_is_an_error():
    with pytest.raises(UserError, match=r"no JSON: \{oops"):
        await deltas(client(b"data: {oops\n\n"))


async def test_thinking_goes_along_while_its_tools_are_at_work():
    asked: list[httpx.Request] = []
    call = ToolCall("functions.search_icd:0", "search_icd", "{}")
    said = [Message("assistant", "", thinking="why", tool_calls=(call,))]
    said.append(Message("assistant", "M10", thinking="done"))
    one = client(b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', asked=asked)
    async for _ in one.stream_chat(said, max_tokens=5, temperature=0):
        pass
    messages = json.loads(asked[0].content)["messages"]
    assert [message.get("reasoning_content") for message in messages] == ["why", None]


def raw_event(**choice: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


async def raw_deltas(client: HttpClient | ScriptedClient, **options) -> list[Delta]:
    stream = client.stream_raw("<|im_user|>", max_tokens=5, temperature=1, **options)
    return [delta async for delta in stream]


RAW = (
    raw_event(text="r</thi", token_ids=[7, 163], logprobs={"token_logprobs": [-0.5, -1.25]})
    + raw_event(text="nk><|im_user|>", token_ids=[607], logprobs={"token_logprobs": [-0.25]})
    + raw_event(text="", finish_reason="length")
    + b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3}}\n\n'
    + b"data: [DONE]\n\n"
)


async def test_a_rendered_prompt_is_continued_token_by_token():
    assert await raw_deltas(client(RAW)) == [
        Delta(text="r</thi", token_ids=(7, 163), logprobs=(-0.5, -1.25)),
        Delta(text="nk><|im_user|>", token_ids=(607,), logprobs=(-0.25,)),
        Delta(finish_reason="length"),
        Delta(num_tokens=3, num_prompt_tokens=3),
    ]


async def test_every_delta_knows_how_long_it_took():
    times = [delta.seconds for delta in await raw_deltas(client(RAW))]
    assert times == sorted(times) and times[0] > 0


async def test_a_rendered_prompt_is_asked_with_special_tokens_kept():
    asked: list[httpx.Request] = []
    await raw_deltas(
        client(RAW, asked=asked), top_p=0.95, stop=("<|im_end|>",), seed=7, logprobs=True
    )
    assert asked[0].url.path == "/v1/completions"
    assert json.loads(asked[0].content) == {
        "model": "kos",
        "prompt": "<|im_user|>",
        "max_tokens": 5,
        "temperature": 1,
        "top_p": 0.95,
        "seed": 7,
        "stop": ["<|im_end|>"],
        "logprobs": 1,
        "skip_special_tokens": False,
        "return_token_ids": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("ask", [deltas, raw_deltas])
async def test_what_was_not_chosen_is_not_sent(ask):
    asked: list[httpx.Request] = []
    await ask(client(RAW, asked=asked))
    unasked = {"top_p", "seed", "stop", "logprobs", "tools"}
    assert not unasked & set(json.loads(asked[0].content))


async def test_a_chat_s_log_probabilities_are_read():
    logprobs = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": None}]}
    body = raw_event(delta={"content": "ab"}, logprobs=logprobs, finish_reason="stop")
    assert (await deltas(client(body)))[0].logprobs == (-0.5,)


async def test_a_refused_prompt_is_told_in_the_server_s_words():
    with pytest.raises(UserError, match=r"\(404\): no such path"):
        await raw_deltas(client(b'{"error": {"message": "no such path"}}', status=404))


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


async def test_the_scripted_client_plays_one_list_for_chats_and_prompts():
    scripted = ScriptedClient(["Hello", "there"])
    assert "".join(delta.text for delta in await raw_deltas(scripted)) == "Hello"
    assert "".join(delta.text for delta in await deltas(scripted)) == "there"
    assert (scripted.prompts, scripted.asked) == (["<|im_user|>"], [ASK])
