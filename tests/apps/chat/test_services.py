from __future__ import annotations

import pickle
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.chat import reading, services
from apps.chat.models import ChatMessage, Conversation
from apps.chat.services import Draft, IdentifiersError
from kos.errors import UserError
from kos.messages import Message
from tests.factories import make_conversation, make_deployment, make_run

pytestmark = pytest.mark.django_db
DRAFT = Draft("Rest.", "why", 3, 1.5)


def answered(conversation: Conversation, text: str = "Gout?") -> ChatMessage:
    answer = services.add_message(conversation, text)
    services.finish(answer.pk, ChatMessage.Status.DONE, DRAFT)
    return answer


def shown(conversation: Conversation) -> list[str]:
    conversation.refresh_from_db()
    return [one.message.content for one in reading.shown_path(conversation)]


def test_a_message_brings_the_row_of_its_answer():
    conversation = make_conversation()
    answer = services.add_message(conversation, " Gout? ")
    assert (answer.role, answer.status) == ("assistant", "writing")
    assert [row.content for row in conversation.messages.all()] == ["Gout?", ""]
    assert answer.parent.content == "Gout?"


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
    answer = services.add_message(conversation, "Gout?", deployment=other)
    conversation.refresh_from_db()
    assert conversation.deployment == answer.deployment == other


def test_identifiers_are_warned_of_and_recorded_when_sent():
    conversation = make_conversation()
    with pytest.raises(IdentifiersError) as warned:
        services.add_message(conversation, "Mrs Jones has gout.")
    assert [one.text for one in warned.value.found] == ["Jones"]
    assert not conversation.messages.exists()
    answer = services.add_message(conversation, "Mrs Jones has gout.", is_warned=True)
    assert answer.parent.identifiers == ["name"]
    assert pickle.loads(pickle.dumps(warned.value)).found == warned.value.found


def test_a_message_without_identifiers_needs_no_warning():
    answer = services.add_message(make_conversation(), "Gout?", is_warned=True)
    assert answer.parent.identifiers == []


def test_the_model_is_asked_with_what_was_said_before(model):
    model()
    conversation = make_conversation()
    answered(conversation)
    answer = services.add_message(conversation, "And then?")
    assert services.question_of(answer.pk).messages == [
        Message("user", "Gout?"),
        Message("assistant", "Rest."),
        Message("user", "And then?"),
    ]


def test_an_edit_begins_a_branch_and_leaves_the_other_one(model):
    model()
    conversation = make_conversation()
    asked = answered(conversation).parent
    answered(conversation, "And then?")
    branch = services.edit(conversation, asked, "Gout in the foot?")
    assert services.question_of(branch.pk).messages == [Message("user", "Gout in the foot?")]
    services.finish(branch.pk, ChatMessage.Status.DONE, DRAFT._replace(content="Ice."))
    assert shown(conversation) == ["Gout in the foot?", "Ice."]
    services.show(conversation, asked)
    assert shown(conversation) == ["Gout?", "Rest.", "And then?", "Rest."]


def test_only_one_s_own_message_can_be_edited():
    answer = answered(make_conversation())
    with pytest.raises(UserError, match="Only a message of yours"):
        services.edit(answer.conversation, answer, "Better?")


def test_no_branch_is_left_while_it_is_being_written():
    conversation = make_conversation()
    asked = answered(conversation).parent
    services.add_message(conversation, "And then?")
    with pytest.raises(UserError, match="still being written"):
        services.show(conversation, asked)


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


def test_regenerating_writes_another_answer_beside_the_old_one():
    old = answered(make_conversation())
    new = services.regenerate(old.conversation)
    assert new.parent_id == old.parent_id
    services.finish(new.pk, ChatMessage.Status.DONE, DRAFT._replace(content="Ice."))
    assert shown(old.conversation) == ["Gout?", "Ice."]
    branches = reading.shown_path(old.conversation)[-1].branches
    assert (branches.place, branches.number, branches.earlier) == (2, 2, old.pk)


def test_nothing_can_be_regenerated_before_the_first_message():
    with pytest.raises(UserError, match="no message"):
        services.regenerate(make_conversation())


def test_a_nul_is_no_reason_to_lose_an_answer():
    answer = services.add_message(make_conversation(), "a\x00b")
    tools = [{"call": {"name": "x"}, "observation": "c\x00d"}]
    draft = DRAFT._replace(content="a\x00b", tools=tools)
    assert services.finish(answer.pk, ChatMessage.Status.DONE, draft)
    assert {row.content for row in answer.conversation.messages.all()} == {"a\ufffdb"}
    answer.refresh_from_db()
    assert answer.tools[0]["observation"] == "c\ufffdd"


def test_words_are_found_in_every_branch_and_marked():
    conversation = make_conversation(title="Feet")
    asked = answered(conversation, "What helps against <b>gouty</b> arthritis?").parent
    services.edit(conversation, asked, "Something else?")
    found = Conversation.objects.search("gouty arthritis")
    assert [*found] == [conversation]
    snippet = reading.snippets(found, "arthritis")[conversation.pk]
    assert "<mark>arthritis</mark>" in snippet
    assert "<b>" not in snippet
    assert not Conversation.objects.search("appendix").exists()
