"""OpenAI's own client against a running Kos."""

from __future__ import annotations

import json

import httpx
import openai
import pytest
from django.test import AsyncClient

from apps.accounts import services as accounts
from apps.deployments import aliases, limits
from apps.deployments.models import Usage
from apps.traces.models import Trace
from kos.chat.template import SYSTEM_PROMPT
from tests.apps.deployments.conftest import wait_for
from tests.factories import make_deployment, make_user

pytestmark = pytest.mark.django_db(transaction=True)
ASK = [{"role": "user", "content": "Gout?"}]
LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look it up.",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string"}},
            "required": ["word"],
        },
    },
}
CALL = '<tool_call>\n{"name": "look", "arguments": {"word": "gout"}}\n</tool_call>'


def speak(deployment, dialect: str, **asking) -> None:
    deployment.dialect = dialect
    deployment.asking = deployment.asking | asking
    deployment.save(update_fields=["dialect", "asking"])


def ask(client, **options):
    return client.chat.completions.create(model="far", messages=ASK, **options)


# --- Passed on --------------------------------------------------------------------------------
def test_a_whole_answer_comes_through(client, deployment):
    answer = ask(client)
    assert answer.choices[0].message.content == "one two three"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)


def test_a_stream_comes_through_and_its_count_stays_here(client, deployment):
    chunks = [*ask(client, stream=True)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_who_asks_for_the_count_of_a_stream_gets_it(client, deployment):
    chunks = [*ask(client, stream=True, stream_options={"include_usage": True})]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 10


def test_the_deployment_says_what_the_request_does_not(client, deployment, engine):
    ask(client)
    (asked,) = engine.asked
    assert asked["messages"] == [{"role": "system", "content": SYSTEM_PROMPT}, *ASK]
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("script", 0.7, 1024)


def test_what_the_request_says_is_passed_on(client, deployment, engine):
    ask(client, stop=["\n"], seed=3, top_p=0.5, temperature=0, max_completion_tokens=9)
    (asked,) = engine.asked
    told = {name: asked.get(name) for name in ("stop", "seed", "top_p", "temperature")}
    assert told == {"stop": ["\n"], "seed": 3, "top_p": 0.5, "temperature": 0}
    assert asked["max_completion_tokens"] == 9
    assert "max_tokens" not in asked


def test_a_system_prompt_of_one_s_own_is_kept(client, deployment, engine):
    own = [{"role": "system", "content": "Be brief."}, *ASK]
    client.chat.completions.create(model="far", messages=own)
    assert engine.asked[0]["messages"] == own


def test_a_text_is_continued(client, deployment, engine):
    stream = client.completions.create(model="far", prompt="Once", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "one two three"
    assert engine.asked[0]["prompt"] == "Once"


def test_tools_go_to_a_server_that_knows_them(client, deployment, engine):
    ask(client, tools=[LOOK])
    assert engine.asked[0]["tools"] == [LOOK]


# --- In a dialect of Kos ----------------------------------------------------------------------
def test_a_call_of_the_caller_s_tool_comes_back_parsed(client, deployment, engine):
    speak(deployment, "hermes")
    engine.raws = [f"Let me see.\n{CALL}"]
    choice = ask(client, tools=[LOOK]).choices[0]
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("look", {"word": "gout"})
    assert (choice.finish_reason, choice.message.content.strip()) == ("tool_calls", "Let me see.")
    assert '"name": "look"' in engine.asked[0]["prompt"]


def test_a_call_is_streamed_once_it_is_whole(client, deployment, engine):
    speak(deployment, "hermes")
    engine.raws = [CALL]
    chunks = [*ask(client, tools=[LOOK], stream=True)]
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert [(call.index, call.function.name) for call in calls] == [(0, "look")]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_call_that_was_cut_is_not_given_out(client, deployment, engine):
    speak(deployment, "hermes")
    engine.raws = ['<tool_call>\n{"name": "look", "argu']
    answer = ask(client, tools=[LOOK])
    assert answer.choices[0].message.tool_calls is None
    assert "unclosed_call" in answer.kos["flags"]


def test_thinking_comes_under_both_names(client, deployment, engine):
    speak(deployment, "kimi")
    engine.raws = ["Gout is an arthritis.</think>See a doctor."]
    message = ask(client).choices[0].message
    assert message.content == "See a doctor."
    assert message.reasoning == message.reasoning_content == "Gout is an arthritis."


def test_results_and_thinking_of_earlier_turns_are_rendered(client, deployment, engine):
    speak(deployment, "kimi")
    function = {"name": "look", "arguments": '{"word": "gout"}'}
    call = {"id": "functions.look:0", "type": "function", "function": function}
    said = {"role": "assistant", "content": "", "reasoning": "Look.", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "functions.look:0", "content": "An arthritis."}
    client.chat.completions.create(model="far", messages=[*ASK, said, result], tools=[LOOK])
    prompt = engine.asked[0]["prompt"]
    assert "<think>Look.</think>" in prompt
    assert "## Return of functions.look:0\nAn arthritis." in prompt


# --- Tools called here ------------------------------------------------------------------------
SEARCH = '<tool_call>\n{"name": "search_icd", "arguments": {"query": "gout"}}\n</tool_call>'


def test_the_harness_calls_tools_on_the_server_and_keeps_a_trace(client, deployment, engine):
    speak(deployment, "hermes", tools=["search_icd"])
    engine.raws = [SEARCH, "It is M10.9."]
    reply = client.chat.completions.with_raw_response.create(
        model="far", messages=ASK, extra_body={"kos": {"tools": True}}
    )
    answer = reply.parse()
    assert "M10.9" in answer.choices[0].message.content
    started = [
        one["tool_started"]["name"] for one in answer.kos["activity"] if "tool_started" in one
    ]
    assert started == ["search_icd"]
    trace = Trace.objects.get(pk=reply.headers["x-kos-trace-id"])
    assert (trace.origin, answer.kos["trace_id"]) == ("api", str(trace.pk))


def test_tool_activity_is_streamed_as_deltas_of_their_own(client, deployment, engine):
    speak(deployment, "hermes")
    engine.raws = [SEARCH, "It is M10.9."]
    wanted = {"kos": {"tools": ["search_icd"], "trace": False}}
    chunks = [*ask(client, stream=True, extra_body=wanted)]
    told = [
        chunk.choices[0].delta.kos for chunk in chunks if hasattr(chunk.choices[0].delta, "kos")
    ]
    assert [[*one] for one in told] == [["tool_started"], ["tool_done"]]
    assert told[1]["tool_done"]["mode"] == "embedded"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert not Trace.objects.exists()


def test_a_tool_that_is_not_there_is_named(client, deployment):
    with pytest.raises(openai.BadRequestError, match="no tool 'fly'"):
        ask(client, extra_body={"kos": {"tools": ["fly"]}})


def test_an_unknown_kos_field_is_refused(client, deployment):
    with pytest.raises(openai.BadRequestError, match=r"kos\.wings"):
        ask(client, extra_body={"kos": {"wings": 2}})


# --- Refused ----------------------------------------------------------------------------------
def test_a_wrong_key_is_a_401(kos, deployment):
    with (
        openai.OpenAI(base_url=f"{kos}/v1", api_key="kos_wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError, match="API tokens") as caught,
    ):
        ask(stranger)
    assert caught.value.code == "invalid_api_key"


def test_an_unknown_model_is_a_404_that_lists_the_others(client, deployment):
    with pytest.raises(openai.NotFoundError, match="ready are: far") as caught:
        client.chat.completions.create(model="gpt", messages=ASK)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{", "no JSON"),
        ([1], "a JSON object"),
        ({"model": "far"}, "needs `messages`"),
        ({"model": "far", "messages": []}, "an empty list"),
        ({"model": "far", "messages": ASK, "n": 2}, "one answer a request"),
    ],
)
def test_a_request_that_cannot_be_read_is_a_400(kos, token, deployment, body, sentence):
    content = body if isinstance(body, str) else json.dumps(body)
    headers = {"Authorization": f"Bearer {token}"}
    reply = httpx.post(f"{kos}/v1/chat/completions", content=content, headers=headers)
    assert reply.status_code == 400
    assert sentence in reply.json()["error"]["message"]


def test_the_server_s_refusal_comes_through(client, deployment):
    fail = [{"role": "user", "content": "fail"}]
    with pytest.raises(openai.BadRequestError, match="cannot"):
        client.chat.completions.create(model="far", messages=fail)


def test_a_server_that_is_gone_is_a_502(client, deployment):
    deployment.url = "http://127.0.0.1:9"
    deployment.save(update_fields=["url"])
    with pytest.raises(openai.InternalServerError, match="'far' does not answer") as caught:
        ask(client)
    assert caught.value.status_code == 502


def test_too_many_requests_are_a_429_that_says_when_to_come_back(client, deployment, token):
    user = accounts.user_of_token(token)
    limits.set_allowance(user, tokens_per_day=0, requests_per_minute=2)
    headers = client.chat.completions.with_raw_response.create(model="far", messages=ASK).headers
    assert headers["ratelimit"] == '"requests";r=1;t=30'
    ask(client)
    with pytest.raises(openai.RateLimitError, match="2 requests a minute") as caught:
        ask(client)
    assert caught.value.response.headers["retry-after"] == "30"


def test_a_day_s_tokens_run_out(client, deployment, token):
    user = accounts.user_of_token(token)
    limits.set_allowance(user, tokens_per_day=10, requests_per_minute=0)
    Usage.objects.create(user=user, deployment=deployment, prompt_tokens=7, completion_tokens=3)
    with pytest.raises(openai.RateLimitError, match="10 tokens a day") as caught:
        ask(client)
    assert caught.value.code == "insufficient_quota"
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 86_400


# --- Around it --------------------------------------------------------------------------------
def test_what_was_used_is_kept(client, deployment):
    [*ask(client, stream=True)]
    wait_for(Usage.objects.exists)
    row = Usage.objects.get()
    assert (row.user.username, row.token_name, row.deployment) == ("clara", "notebook", deployment)
    assert (row.prompt_tokens, row.completion_tokens, row.status) == (7, 3, "ok")
    assert 0 < row.first_token_seconds <= row.seconds


def test_a_caller_who_leaves_stops_the_server_s_work(client, deployment, engine):
    engine.words, engine.pause_seconds = ("word ",) * 400, 0.05
    stream = ask(client, stream=True)
    next(iter(stream))
    stream.close()
    wait_for(lambda: engine.gone == 1)
    wait_for(Usage.objects.exists)
    assert Usage.objects.get().status == "stopped"


def test_a_caller_who_leaves_stops_an_answer_in_a_dialect_too(client, deployment, engine):
    speak(deployment, "hermes")
    engine.raws, engine.pause_seconds = ["word " * 400], 0.05
    stream = ask(client, stream=True)
    next(iter(stream))
    stream.close()
    wait_for(lambda: engine.gone == 1)


def test_aliases_and_deployments_are_listed(client, deployment):
    aliases.promote("kos", deployment, by=None, reason="First.")
    make_deployment(name="old", status="stopped")
    assert [model.id for model in client.models.list()] == ["far", "kos"]
    assert client.models.retrieve("kos").owned_by == "kos"


def test_an_alias_answers(client, deployment):
    aliases.promote("kos", deployment, by=None, reason="First.")
    answer = client.chat.completions.create(model="kos", messages=ASK)
    assert answer.choices[0].message.content == "one two three"


async def test_without_an_asgi_server_the_same_gateway_answers(deployment, token):
    headers = {"Authorization": f"Bearer {token}"}
    body = json.dumps({"model": "far", "messages": ASK, "stream": True})
    reply = await AsyncClient().post(
        "/v1/chat/completions", body, content_type="application/json", headers=headers
    )
    text = b"".join([chunk async for chunk in reply.streaming_content]).decode()
    assert text.endswith("data: [DONE]\n\n")
    wrong = {"Authorization": "Bearer kos_wrong"}
    assert (await AsyncClient().post("/v1/completions", headers=wrong)).status_code == 401


@pytest.mark.parametrize(
    ("scope", "is_let_in"), [("all", True), ("models", True), ("tools", False)]
)
def test_a_token_for_something_else_is_refused(kos, deployment, scope, is_let_in):
    token = accounts.create_token(make_user(), "program", scopes=[scope]).text
    headers = {"Authorization": f"Bearer {token}"}
    body = {"model": "far", "messages": ASK}
    reply = httpx.post(f"{kos}/v1/chat/completions", json=body, headers=headers)
    assert (reply.status_code == 200) is is_let_in
