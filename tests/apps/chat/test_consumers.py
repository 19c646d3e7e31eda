from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from apps.chat import answers, services
from apps.chat.consumers import ChatConsumer, View
from apps.chat.models import Conversation
from apps.chat.services import Draft
from kos.errors import UserError
from tests.factories import make_conversation, make_user
from tests.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)


async def join(conversation: Conversation, *, user=None, after: int = 0) -> Socket:
    return await Socket.open(
        ChatConsumer.as_asgi(),
        f"/ws/chat/{conversation.pk}/?after={after}",
        user=user or conversation.owner,
        pk=conversation.pk,
    )


async def until(socket: Socket, text: str) -> list[dict]:
    """The frames up to the one that holds ``text``."""
    frames = []
    while not frames or text not in str(frames[-1]):
        frames.append(await socket.receive())
    return frames


new_conversation = sync_to_async(make_conversation)


async def test_a_message_is_answered_on_the_socket(model):
    model("**Rest.** And fluids.", pause_seconds=0.03)
    socket = await join(await new_conversation())
    await socket.send({"do": "send", "text": "Gout?"})
    frames = await until(socket, "<strong>Rest.</strong> And fluids.")
    kinds = [frame["kind"] for frame in frames]
    assert kinds[:3] == ["accepted", "message", "message"]
    assert "writing" in kinds
    assert "Gout?" in frames[1]["html"]
    assert frames[-1]["ids"] == [frames[1]["id"], frames[2]["id"]]
    await socket.disconnect()


async def test_a_reload_goes_on_with_the_running_answer(model):
    model("word " * 60, pause_seconds=0.02)
    conversation = await new_conversation()
    first = await join(conversation)
    await first.send({"do": "send", "text": "Gout?"})
    await until(first, "writing")
    await first.disconnect()
    second = await join(conversation)
    frames = await until(second, "'is_first'")
    assert frames[-1]["is_first"]
    await until(second, "tokens/s")
    await second.disconnect()


async def test_a_reload_brings_only_what_is_new(model):
    model("Rest.")
    conversation = await new_conversation()
    answer = await sync_to_async(services.add_message)(conversation, "Gout?")
    await answers.start_and_wait(answer.pk)
    socket = await join(conversation, after=answer.pk - 1)
    assert (await socket.receive())["id"] == answer.pk
    await socket.disconnect()


async def test_stop_ends_the_answer(model):
    model("word " * 500, pause_seconds=0.02)
    socket = await join(await new_conversation())
    await socket.send({"do": "send", "text": "Gout?"})
    await until(socket, "word")
    await socket.send({"do": "stop"})
    await until(socket, "stopped")
    await socket.disconnect()


async def test_again_replaces_the_answer(model):
    model("First.", "Second.")
    conversation = await new_conversation()
    answer = await sync_to_async(services.add_message)(conversation, "Gout?")
    await answers.start_and_wait(answer.pk)
    socket = await join(conversation, after=answer.pk)
    await socket.send({"do": "regenerate"})
    frames = await until(socket, "<p>Second.</p>")
    assert answer.pk not in frames[-1]["ids"]
    await socket.disconnect()


async def test_a_command_that_cannot_be_is_refused_with_a_sentence(model):
    model("Rest.")
    socket = await join(await new_conversation())
    await socket.send({"do": "send", "text": "  "})
    assert await socket.receive() == {
        "kind": "refused",
        "text": "The message is empty. Write a question first.",
    }
    await socket.send({"do": "send", "text": "Gout?", "deployment": 999})
    assert "gone" in (await socket.receive())["text"]
    await socket.disconnect()


async def test_a_failed_model_is_shown_in_the_message(model):
    model(UserError("The model server is away."))
    socket = await join(await new_conversation())
    await socket.send({"do": "send", "text": "Gout?"})
    await until(socket, "The model server is away.")
    await socket.disconnect()


async def test_only_the_owner_may_listen():
    conversation = await new_conversation()
    other = await sync_to_async(make_user)(role="admin")
    assert await (await join(conversation, user=other)).close_code() == 4404
    assert await (await join(conversation, user=object())).close_code() == 4401


async def test_hostile_text_arrives_cleaned(model):
    model("<script>alert(1)</script>\n\n[x](javascript:alert(1))\n\nEnd", pause_seconds=0.03)
    socket = await join(await new_conversation())
    await socket.send({"do": "send", "text": "<script>alert(2)</script>"})
    frames = await until(socket, "tokens/s")
    for frame in frames:
        html = frame.get("html", "") + frame.get("blocks", "")
        assert "<script" not in html
        assert "<a " not in html
    await socket.disconnect()


def test_a_view_sends_finished_blocks_once():
    view = View(7)
    first = view.frame(Draft("One.\n\nTw", "why", 3, 1.0))
    second = view.frame(Draft("One.\n\nTwo.\n\nThr", "why not", 6, 2.0))
    assert (first["is_first"], first["blocks"], first["tail"]) == (True, "<p>One.</p>\n", "Tw")
    assert (second["is_first"], second["blocks"], second["tail"]) == (
        False,
        "<p>Two.</p>\n",
        "Thr",
    )
    assert (first["thinking"], second["thinking"]) == ("why", " not")
