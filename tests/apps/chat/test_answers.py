from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from apps.chat import answers, services
from apps.chat.models import ChatMessage
from apps.traces.models import Trace
from kos.errors import UserError
from tests.apps.chat.conftest import WORDS, calling
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db(transaction=True)


@sync_to_async
def ask(text: str = "Gout?", **options) -> ChatMessage:
    return services.add_message(make_conversation(), text, **options)


async def begun(answer: ChatMessage) -> None:
    """Until its first words are there."""
    room = answers.room_of(answer.conversation_id)
    while not room.answer.content:
        await asyncio.wait_for(room.moved.wait(), 60)


async def trace_of(answer: ChatMessage) -> Trace:
    return await Trace.objects.aget(example_id=f"chat-{answer.pk}")


async def test_an_answer_is_written_and_traced(model):
    model("<think>why</think>Rest.")
    answer = await ask()
    await answers.start_and_wait(answer)
    await answer.arefresh_from_db()
    assert (answer.status, answer.content, answer.thinking) == ("done", "Rest.", "why")
    assert answer.num_tokens > 0
    trace = await trace_of(answer)
    assert (answer.trace_id, trace.origin, trace.question) == (trace.pk, "chat", "Gout?")


async def test_what_was_looked_up_is_kept_with_the_answer_and_its_trace(model):
    model(calling(), "Rest [S1].")
    answer = await ask()
    await answers.start_and_wait(answer)
    await answer.arefresh_from_db()
    assert answer.content == "Rest [S1]."
    assert answer.thinking == "I look."
    assert [(tool["mode"], tool["sources"]) for tool in answer.tools] == [("embedded", ["S1"])]
    assert answer.source("S1")["text"] == "Rest and drink."
    trace = await trace_of(answer)
    assert (trace.tool_names, len(trace.turns), len(trace.sources)) == (["look_up"], 2, 1)


async def test_the_next_question_may_cite_what_was_found_before(model):
    client = model(calling(), "Rest [S1] and [S7].", "As said [S1].")
    answer = await ask()
    await answers.start_and_wait(answer)
    conversation = answer.conversation
    second = await sync_to_async(services.add_message)(conversation, "Sure?")
    await answers.start_and_wait(second)
    await second.arefresh_from_db()
    assert (second.content, second.flags) == ("As said [S1].", [])
    assert second.source("S1")["title"] == "Rest"
    # What nobody found is shown as marked, and not read again by the model.
    assert "[S7]" not in str(client.asked[-1])


async def test_flags_are_kept_with_the_answer(model):
    model("Rest.</think> More.")
    answer = await ask()
    await answers.start_and_wait(answer)
    await answer.arefresh_from_db()
    assert "think_leak" in answer.flags


async def test_what_is_written_so_far_is_kept(model, monkeypatch):
    monkeypatch.setattr(answers, "KEEP_SECONDS", 0.01)
    model(WORDS, pause_seconds=0.01)
    answer = await ask()
    conversation = answer.conversation
    task = await answers.start(answer)
    await begun(answer)
    while not answer.content:
        await asyncio.sleep(0.05)
        await answer.arefresh_from_db(fields=["content"])
    assert answer.content.startswith("word")
    assert answer.is_writing
    await answers.stop(conversation)
    assert task.done()


async def test_a_stopped_answer_keeps_its_words_and_is_traced(model):
    model(WORDS, pause_seconds=0.01)
    answer = await ask()
    await answers.start(answer)
    await begun(answer)
    await answers.stop(answer.conversation)
    await answer.arefresh_from_db()
    assert answer.status == "stopped"
    assert answer.content.startswith("word")
    assert (await trace_of(answer)).stop_reason == "stopped"


async def test_a_stop_in_another_process_ends_the_task(model, monkeypatch):
    monkeypatch.setattr(answers, "KEEP_SECONDS", 0.01)
    model(WORDS, pause_seconds=0.01)
    answer = await ask()
    task = await answers.start(answer)
    await sync_to_async(services.stop)(answer.conversation)
    await asyncio.wait_for(asyncio.wait([task]), 60)
    await answer.arefresh_from_db()
    assert answer.status == "stopped"


async def test_a_model_that_fails_is_told_in_its_words(model):
    sentence = "The model server of 'kos' does not answer."
    model(UserError(sentence))
    answer = await ask()
    await answers.start_and_wait(answer)
    await answer.arefresh_from_db()
    assert (answer.status, answer.error) == ("failed", sentence)
    assert (await trace_of(answer)).error == sentence


async def test_a_server_that_shuts_down_says_so(model):
    model(WORDS, pause_seconds=0.01)
    answer = await ask()
    task = await answers.start(answer)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await answer.arefresh_from_db()
    assert (answer.status, answer.error) == ("failed", services.RESTARTED)


async def test_a_question_sent_with_identifiers_marks_its_trace(model):
    model("Rest.")
    answer = await ask("Mrs Jones has gout.", is_warned=True)
    await answers.start_and_wait(answer)
    assert (await trace_of(answer)).flags == ["identifiers"]


async def test_a_fault_of_ours_leaves_no_answer_hanging(model):
    model()  # the script has no turn: an IndexError
    answer = await ask()
    with pytest.raises(IndexError):
        await answers.start_and_wait(answer)
    await answer.arefresh_from_db()
    assert (answer.status, answer.error) == ("failed", answers.CRASHED)


async def test_a_model_that_is_gone_is_told_in_the_answer(model):
    answer = await ask()
    await ChatMessage.objects.filter(pk=answer.pk).aupdate(deployment=None)
    await answers.start_and_wait(answer)
    await answer.arefresh_from_db()
    assert answer.status == "failed"
    assert "is gone" in answer.error


async def test_a_posted_message_is_answered_after_the_response(model):
    model(WORDS[:80], pause_seconds=0.01)
    conversation = await sync_to_async(make_conversation)()
    browser = AsyncClient()
    await browser.aforce_login(conversation.owner)
    await browser.post(f"/chat/{conversation.pk}/send/", {"text": "Gout?"})
    answer = await conversation.messages.alast()
    assert answer.is_writing
    await answers.room_of(conversation.pk).answer.task
    await answer.arefresh_from_db()
    assert answer.status == "done"
