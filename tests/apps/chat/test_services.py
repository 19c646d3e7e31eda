from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.chat import services
from apps.chat.models import ChatMessage
from apps.chat.services import Draft
from apps.traces.models import Trace
from kos.errors import UserError
from kos.harness.loop import TurnDone
from kos.messages import Message
from tests.factories import make_conversation, make_deployment, make_run

pytestmark = pytest.mark.django_db
DRAFT = Draft("Rest.", "why", 3, 1.5)


def test_a_message_brings_the_row_of_its_answer():
    conversation = make_conversation()
    answer = services.add_message(conversation, " Gout? ")
    assert (answer.role, answer.status) == ("assistant", "writing")
    assert [row.content for row in conversation.messages.all()] == ["Gout?", ""]


@pytest.mark.parametrize(("text", "sentence"), [(" ", "is empty"), ("x" * 20_001, "20001")])
def test_a_message_must_say_something_and_fit(text, sentence):
    with pytest.raises(UserError, match=sentence):
        services.add_message(make_conversation(), text)


def test_one_answer_at_a_time():
    conversation = make_conversation()
    services.add_message(conversation, "Gout?")
    with pytest.raises(UserError, match="still being written"):
        services.add_message(conversation, "And now?")
    assert conversation.messages.count() == 2


def test_a_deployment_that_stopped_is_named():
    stopped = make_deployment(name="old", run=make_run("deploy", status="cancelled"))
    with pytest.raises(UserError, match="old is not serving"):
        services.add_message(make_conversation(deployment=stopped), "Gout?")


def test_another_deployment_can_take_over():
    conversation, other = make_conversation(), make_deployment()
    services.add_message(conversation, "Gout?", deployment=other)
    conversation.refresh_from_db()
    assert conversation.deployment == other


def test_the_model_is_asked_with_what_was_said_before():
    conversation = make_conversation()
    first = services.add_message(conversation, "Gout?")
    services.finish(first.pk, ChatMessage.Status.DONE, DRAFT)
    answer = services.add_message(conversation, "And then?")
    question = services.question_of(answer.pk)
    assert question.messages == [
        Message("user", "Gout?"),
        Message("assistant", "Rest."),
        Message("user", "And then?"),
    ]


def test_an_answer_ends_once():
    answer = services.add_message(make_conversation(), "Gout?")
    assert services.finish(answer.pk, ChatMessage.Status.DONE, DRAFT, flags=["repetition"])
    assert not services.finish(answer.pk, ChatMessage.Status.FAILED, DRAFT, error="late")
    answer.refresh_from_db()
    assert (answer.status, answer.flags, answer.tokens_per_second) == ("done", ["repetition"], 2)


def test_a_stop_from_elsewhere_is_noticed_when_the_draft_is_kept():
    answer = services.add_message(make_conversation(), "Gout?")
    assert services.keep_draft(answer.pk, DRAFT)
    assert services.stop(answer.conversation)
    assert not services.keep_draft(answer.pk, DRAFT)


def test_an_answer_whose_server_is_gone_fails_with_a_sentence():
    answer = services.add_message(make_conversation(), "Gout?")
    services.close_silent(answer.conversation)
    answer.refresh_from_db()
    assert answer.is_writing
    long_ago = timezone.now() - timedelta(seconds=20)
    ChatMessage.objects.filter(pk=answer.pk).update(touched=long_ago)
    services.close_silent(answer.conversation)
    answer.refresh_from_db()
    assert (answer.status, answer.error) == ("failed", services.RESTARTED)


def test_regenerating_puts_a_new_answer_in_the_old_one_s_place():
    old = services.add_message(make_conversation(), "Gout?")
    services.finish(old.pk, ChatMessage.Status.DONE, DRAFT)
    new = services.regenerate(old.conversation)
    assert [row.pk for row in old.conversation.messages.filter(role="assistant")] == [new.pk]


def test_nothing_can_be_regenerated_before_the_first_message():
    with pytest.raises(UserError, match="no message"):
        services.regenerate(make_conversation())


def test_a_nul_is_no_reason_to_lose_an_answer():
    answer = services.add_message(make_conversation(), "a\x00b")
    assert services.finish(answer.pk, ChatMessage.Status.DONE, DRAFT._replace(content="a\x00b"))
    assert {row.content for row in answer.conversation.messages.all()} == {"a\ufffdb"}


def test_an_answer_becomes_a_trace_of_the_run_that_served_it():
    answer = services.add_message(make_conversation(), "Gout?")
    message = Message("assistant", "Rest.", thinking="why")
    done = TurnDone(message, (), "<think>why</think>Rest.", "stop", ("truncated",), 9, 4, 1.0)
    services.record_trace(answer.pk, [Message("user", "Gout?")], done)
    trace = Trace.objects.get(run=answer.conversation.deployment.run)
    assert (trace.model, trace.step, trace.example_id) == ("chat", 0, f"chat-{answer.pk}")
    assert [message["role"] for message in trace.messages] == ["system", "user"]
    assert (trace.answer, trace.flags, trace.num_answer_tokens) == ("Rest.", ["truncated"], 4)
