"""More answers than may be written at once: said in each of the three ways to ask."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from apps.accounts import services as accounts
from apps.automation.sockets import TOO_MANY
from apps.chat import answers, services
from apps.chat.consumers import ChatConsumer
from apps.chat.models import ChatMessage
from apps.deployments.limits import ANSWERS
from tests.apps.chat.conftest import WORDS
from tests.factories import make_conversation, make_deployment, make_user
from tests.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def few(settings):
    settings.MOST_ANSWERS_OWN = settings.MOST_WATCHERS_OWN = 1
    yield
    assert ANSWERS.num_taken == 0


async def join(conversation) -> Socket:
    path = f"/ws/chat/{conversation.pk}/?after=0"
    return await Socket.open(
        ChatConsumer.as_asgi(), path, user=conversation.owner, pk=conversation.pk
    )


async def test_on_the_socket_the_question_is_refused_and_no_row_is_made(model):
    model("Rest.")
    conversation = await sync_to_async(make_conversation)()
    socket = await join(conversation)
    with ANSWERS.taken(conversation.owner.pk):
        await socket.send({"do": "send", "form": "composer", "text": "Gout?"})
        frame = await socket.receive()
    assert (frame["kind"], frame["form"]) == ("refused", "composer")
    assert frame["text"].startswith("You have 1 answers under way at once")
    assert await ChatMessage.objects.acount() == 0
    await socket.disconnect()


def test_a_program_gets_a_429_and_a_time_to_come_back():
    user, deployment = make_user("ada"), make_deployment()
    token = accounts.create_token(user, "test").text
    body = {"text": "Gout?", "deployment": deployment.pk}
    caller = Client(headers={"Authorization": f"Bearer {token}"})
    with ANSWERS.taken(user.pk):
        reply = caller.post("/api/chat/", body, content_type="application/json")
    assert (reply.status_code, reply["Retry-After"]) == (429, "15")
    assert ChatMessage.objects.count() == 0


async def test_an_answer_holds_its_seat_while_it_is_written(model):
    model(WORDS[:200], "Rest.", pause_seconds=0.01)
    conversation = await sync_to_async(make_conversation)()
    answer = await sync_to_async(services.add_message)(conversation, "Gout?")
    task = await answers.start(answer)
    other = await sync_to_async(make_conversation)(owner=conversation.owner)
    while not ANSWERS.num_taken:
        await sync_to_async(lambda: None)()
    with pytest.raises(services.UserError, match="under way at once"):
        await sync_to_async(services.add_message)(other, "Gout?")
    await task
    await answers.start_and_wait(await sync_to_async(services.add_message)(other, "Gout?"))


async def test_one_page_too_many_is_closed_with_the_reason():
    conversation = await sync_to_async(make_conversation)()
    first = await join(conversation)
    second = await join(conversation)
    message = await second.receive_output(5)
    assert (message["code"], "Close some pages" in message["reason"]) == (TOO_MANY, True)
    await second.disconnect()
    await first.disconnect()
