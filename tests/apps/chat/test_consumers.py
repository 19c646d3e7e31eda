from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from apps.chat import answers, services
from apps.chat.consumers import ChatConsumer
from apps.chat.models import ChatMessage, Conversation
from kos.errors import UserError
from tests.apps.chat.conftest import WORDS, calling
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
        frames.append(await socket.receive(timeout_seconds=60))
    return frames


async def answered(conversation: Conversation, text: str = "Gout?") -> ChatMessage:
    answer = await sync_to_async(services.add_message)(conversation, text)
    await answers.start_and_wait(answer)
    return answer


new_conversation = sync_to_async(make_conversation)


async def test_a_message_is_answered_on_the_socket(model):
    model("**Rest.** And fluids.", pause_seconds=0.03)
    socket = await join(await new_conversation())
    await socket.send({"do": "send", "form": "composer", "text": "Gout?"})
    frames = await until(socket, "<strong>Rest.</strong> And fluids.")
    kinds = [frame["kind"] for frame in frames]
    assert kinds[:3] == ["accepted", "message", "message"]
    assert frames[0]["form"] == "composer"
    assert "writing" in kinds
    assert "Gout?" in frames[1]["html"]
    assert frames[-1]["ids"] == [frames[1]["id"], frames[2]["id"]]
    await socket.disconnect()


async def test_a_tool_call_shows_while_it_runs_and_then_with_its_source(model):
    model(calling(), "Rest [S1] as I read. " + WORDS[:200], pause_seconds=0.05)
    socket = await join(await new_conversation())
    await socket.send({"do": "send", "text": "Gout?"})
    frames = await until(socket, "Sources of this answer")
    cards = [card for frame in frames for card in frame.get("calls", ())]
    assert "embedded" in cards[-1]
    assert 'class="cite" href="/chat/' in frames[-1]["html"]
    await socket.disconnect()


async def test_a_reload_goes_on_with_the_running_answer(model):
    model(WORDS, pause_seconds=0.01)
    conversation = await new_conversation()
    first = await join(conversation)
    await first.send({"do": "send", "text": "Gout?"})
    await until(first, "word3")
    await first.disconnect()
    second = await join(conversation)
    frames = await until(second, "'is_first'")
    assert frames[-1]["is_first"]
    await second.send({"do": "stop"})
    await until(second, "stopped")
    await second.disconnect()


async def test_a_reload_brings_only_what_is_new(model):
    model("Rest.")
    conversation = await new_conversation()
    answer = await answered(conversation)
    socket = await join(conversation, after=answer.parent_id)
    assert (await socket.receive())["id"] == answer.pk
    await socket.disconnect()


async def test_stop_ends_the_answer(model):
    model(WORDS, pause_seconds=0.02)
    socket = await join(await new_conversation())
    await socket.send({"do": "send", "text": "Gout?"})
    await until(socket, "word3")
    await socket.send({"do": "stop"})
    await until(socket, "stopped")
    await socket.disconnect()


async def test_again_takes_the_answer_s_place_and_keeps_it_on_a_branch(model):
    model("First.", "Second.")
    conversation = await new_conversation()
    answer = await answered(conversation)
    socket = await join(conversation, after=answer.pk)
    await socket.send({"do": "regenerate", "message": answer.pk})
    frames = await until(socket, "<p>Second.</p>")
    assert answer.pk not in frames[-1]["ids"]
    assert "2 of 2" in frames[-1]["html"]
    await socket.disconnect()


async def test_an_edit_and_a_step_back_bring_the_branches(model):
    model("First.", "Second.")
    conversation = await new_conversation()
    answer = await answered(conversation)
    socket = await join(conversation, after=answer.pk)
    edit = {"do": "edit", "form": "edit-1", "message": answer.parent_id, "text": "Gout now?"}
    await socket.send(edit)
    frames = await until(socket, "<p>Second.</p>")
    assert answer.pk not in frames[-1]["ids"]
    await socket.send({"do": "show", "message": answer.parent_id})
    frames = await until(socket, "<p>First.</p>")
    assert frames[-1]["ids"] == [answer.parent_id, answer.pk]
    await socket.disconnect()


async def test_identifiers_are_warned_of_before_they_are_sent(model):
    model("Rest.")
    conversation = await new_conversation()
    socket = await join(conversation)
    command = {"do": "send", "form": "composer", "text": "Mrs Jones has <b>gout</b>."}
    await socket.send(command)
    warned = await socket.receive()
    assert (warned["kind"], warned["form"]) == ("warned", "composer")
    assert "a person&#x27;s name" in warned["html"]
    assert not await conversation.messages.aexists()
    await socket.send(command | {"anyway": True})
    await until(socket, "<p>Rest.</p>")
    assert (await conversation.messages.afirst()).identifiers == ["name"]
    await socket.disconnect()


async def test_a_command_that_cannot_be_is_refused_with_a_sentence(model):
    model("Rest.")
    socket = await join(await new_conversation())
    await socket.send({"do": "send", "text": "  "})
    assert await socket.receive() == {
        "kind": "refused",
        "text": "The message is empty. Write a question first.",
        "form": "",
    }
    await socket.send({"do": "send", "text": "Gout?", "deployment": 999})
    assert "gone" in (await socket.receive())["text"]
    await socket.send({"do": "show", "message": 999})
    assert "gone" in (await socket.receive())["text"]
    await socket.disconnect()


async def test_a_message_of_another_conversation_is_not_there(model):
    model("Rest.")
    foreign = await answered(await new_conversation())
    socket = await join(await new_conversation())
    for do in ("show", "regenerate", "edit"):
        await socket.send({"do": do, "message": foreign.pk, "text": "Gout?"})
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
        assert "javascript:alert(1)</a>" not in html
        assert 'href="javascript' not in html
    await socket.disconnect()
