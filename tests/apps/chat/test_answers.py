from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from apps.chat import answers, services
from apps.chat.models import ChatMessage
from apps.traces.models import Trace
from kos.errors import UserError
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db(transaction=True)


@sync_to_async
def ask(text: str = "Gout?") -> ChatMessage:
    return services.add_message(make_conversation(), text)


async def test_an_answer_is_written_and_traced(model):
    model("<think>why</think>Rest.")
    answer = await ask()
    await answers.start_and_wait(answer.pk)
    await answer.arefresh_from_db()
    assert (answer.status, answer.content, answer.thinking) == ("done", "Rest.", "why")
    assert answer.num_tokens > 0
    assert await Trace.objects.filter(example_id=f"chat-{answer.pk}").aexists()


async def test_flags_are_kept_with_the_answer(model):
    model("Rest.</think> More.")
    answer = await ask()
    await answers.start_and_wait(answer.pk)
    await answer.arefresh_from_db()
    assert answer.warnings == ["Thinking may have leaked into this answer."]


async def test_what_is_written_so_far_is_kept(model, monkeypatch):
    monkeypatch.setattr(answers, "KEEP_SECONDS", 0.01)
    model("word " * 200, pause_seconds=0.01)
    answer = await ask()
    conversation = answer.conversation
    task = await answers.start(answer.pk)
    await asyncio.sleep(0.3)
    await answer.arefresh_from_db()
    assert answer.content.startswith("word")
    assert answer.is_writing
    await answers.stop(conversation)
    assert task.done()


async def test_a_stopped_answer_keeps_its_words(model):
    model("word " * 200, pause_seconds=0.01)
    answer = await ask()
    await answers.start(answer.pk)
    await asyncio.sleep(0.1)
    await answers.stop(answer.conversation)
    await answer.arefresh_from_db()
    assert answer.status == "stopped"
    assert answer.content.startswith("word")


async def test_a_stop_in_another_process_ends_the_task(model, monkeypatch):
    monkeypatch.setattr(answers, "KEEP_SECONDS", 0.01)
    model("word " * 1000, pause_seconds=0.01)
    answer = await ask()
    task = await answers.start(answer.pk)
    await sync_to_async(services.stop)(answer.conversation)
    await asyncio.wait_for(asyncio.wait([task]), 5)
    await answer.arefresh_from_db()
    assert answer.status == "stopped"


async def test_a_model_that_fails_is_told_in_its_words(model):
    model(UserError("The model server of 'kos' does not answer."))
    answer = await ask()
    await answers.start_and_wait(answer.pk)
    await answer.arefresh_from_db()
    assert (answer.status, answer.error) == (
        "failed",
        "The model server of 'kos' does not answer.",
    )


async def test_a_server_that_shuts_down_says_so(model):
    model("word " * 200, pause_seconds=0.01)
    answer = await ask()
    task = await answers.start(answer.pk)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await answer.arefresh_from_db()
    assert (answer.status, answer.error) == ("failed", services.RESTARTED)


async def test_a_fault_of_ours_leaves_no_answer_hanging(model):
    model()  # the script has no turn: an IndexError
    answer = await ask()
    with pytest.raises(IndexError):
        await answers.start_and_wait(answer.pk)
    await answer.arefresh_from_db()
    assert (answer.status, answer.error) == ("failed", answers.CRASHED)


async def test_a_posted_message_is_answered_after_the_response(model):
    model("word " * 20, pause_seconds=0.01)
    conversation = await sync_to_async(make_conversation)()
    browser = AsyncClient()
    await browser.aforce_login(conversation.owner)
    await browser.post(f"/chat/{conversation.pk}/send/", {"text": "Gout?"})
    answer = await conversation.messages.alast()
    assert answer.is_writing
    await answers.room_of(conversation.pk).answer.task
    await answer.arefresh_from_db()
    assert answer.status == "done"
