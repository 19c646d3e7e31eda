from __future__ import annotations

import json

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from apps.accounts import services as accounts
from kos.chat.template import SYSTEM_PROMPT
from kos.serving import local
from kos.serving.client import socket_url
from tests.factories import make_deployment, make_user

pytestmark = pytest.mark.django_db(transaction=True)
CHAT = "/v1/chat/completions"
ASK = {"model": "kos", "messages": [{"role": "user", "content": "Gout?"}]}


class Parrot:
    """Says "Rest." one letter a token; ``asked`` keeps the last conversation."""

    end_ids = frozenset({ord("!")})
    asked: list[dict]

    def encode(self, messages):
        self.asked = [*messages]
        return [1, 2, 3]

    def decode(self, ids):
        return "".join(map(chr, ids))

    def stream(self, prompt, **options):
        yield from map(ord, "Rest.!")


@pytest.fixture
def parrot(tmp_path):
    """A served model behind a ready deployment called kos."""
    model, path = Parrot(), tmp_path / "x.sock"
    make_deployment(name="kos", url=socket_url(path))
    with local.serve(model, name="kos", path=path, max_context=99):
        yield model


@pytest.fixture
def token(transactional_db) -> dict[str, str]:
    """What a program with a token sends."""
    text = accounts.create_token(make_user(role="clinician"), "test").text
    return {"Authorization": f"Bearer {text}"}


async def post(token: dict[str, str], body: object):
    data = body if isinstance(body, str) else json.dumps(body)
    return await AsyncClient().post(CHAT, data, content_type="application/json", headers=token)


async def read(response) -> str:
    return b"".join([chunk async for chunk in response.streaming_content]).decode()


async def test_the_ready_models_are_listed(token):
    await sync_to_async(make_deployment)(name="kos")
    await sync_to_async(make_deployment)(name="old", status="stopped")
    response = await AsyncClient().get("/v1/models", headers=token)
    assert [model["id"] for model in response.json()["data"]] == ["kos"]


async def test_a_whole_answer_comes_through(token, parrot):
    answer = json.loads(await read(await post(token, ASK)))
    assert answer["choices"][0]["message"]["content"] == "Rest."
    assert parrot.asked == [{"role": "system", "content": SYSTEM_PROMPT}, *ASK["messages"]]


async def test_a_stream_comes_through(token, parrot):
    response = await post(token, ASK | {"stream": True})
    assert response.headers["content-type"] == "text/event-stream"
    body = await read(response)
    pieces = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    text = [
        piece["choices"][0]["delta"].get("content", "") for piece in pieces if piece["choices"]
    ]
    assert "".join(text) == "Rest."
    assert body.endswith("data: [DONE]\n\n")


async def test_a_system_prompt_of_one_s_own_is_kept(token, parrot):
    own = [{"role": "system", "content": "Be brief."}, *ASK["messages"]]
    await read(await post(token, ASK | {"messages": own}))
    assert parrot.asked == own


async def test_the_server_s_refusal_comes_through(token, parrot):
    response = await post(token, ASK | {"temperature": 9})
    assert response.status_code == 400
    assert "temperature" in json.loads(await read(response))["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (ASK, 404, "no deployment is ready"),
        ("{", 400, "no JSON"),
        ({"model": "kos"}, 400, "needs `messages`"),
        ([1], 400, "needs `messages`"),
    ],
)
async def test_errors_have_openai_s_shape(token, body, status, sentence):
    response = await post(token, body)
    assert response.status_code == status
    assert sentence in response.json()["error"]["message"]


async def test_a_server_that_is_gone_is_a_502(token, tmp_path):
    await sync_to_async(make_deployment)(name="kos", url=socket_url(tmp_path / "gone.sock"))
    response = await post(token, ASK)
    assert response.status_code == 502
    assert "does not answer" in response.json()["error"]["message"]


async def test_a_wrong_token_is_refused():
    assert (await post({"Authorization": "Bearer kos_wrong"}, ASK)).status_code == 401
