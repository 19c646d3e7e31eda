"""Where an answer of one's own conversation comes from."""

from __future__ import annotations

import pytest

from apps.chat.models import ChatMessage, Pairing
from tests.factories import make_conversation, make_deployment


@pytest.fixture
def answer(clinician):
    conversation = make_conversation(owner=clinician.user)
    asked = ChatMessage.objects.create(conversation=conversation, role="user", content="Dose?")
    made = ChatMessage.objects.create(
        conversation=conversation,
        role="assistant",
        parent=asked,
        deployment=conversation.deployment,
        content="Start low.",
        versions={"dialect": "kos"},
    )
    conversation.leaf = made
    conversation.save(update_fields=["leaf"])
    return made


def path(answer) -> str:
    return f"/chat/{answer.conversation_id}/origin/{answer.pk}/"


def test_each_answer_links_to_where_it_comes_from(clinician, answer):
    page = clinician.get(f"/chat/{answer.conversation_id}/").content.decode()
    assert f'href="{path(answer)}"' in page


def test_the_owner_sees_what_answered(clinician, answer):
    page = clinician.get(path(answer)).content.decode()
    assert answer.deployment.name in page
    assert answer.deployment.artifact.name in page
    assert "Prompt template" in page


def test_a_clinician_is_not_led_to_pages_that_stay_closed(clinician, answer):
    page = clinician.get(path(answer)).content.decode()
    assert f"/models/{answer.deployment.artifact_id}/" not in page


def test_nobody_sees_another_persons_conversation(engineer, stranger, answer):
    assert engineer.get(path(answer)).status_code == 404
    assert "/sign-in/" in stranger.get(path(answer)).headers["Location"]


def test_it_is_read_alone(clinician, answer):
    assert clinician.post(path(answer)).status_code == 405


def test_a_question_comes_from_nowhere(clinician, answer):
    assert clinician.get(path(answer.parent)).status_code == 404


def test_a_blind_comparison_tells_nothing_until_the_vote(clinician, answer):
    other = make_conversation(owner=clinician.user, deployment=make_deployment())
    pairing = Pairing.objects.create(
        owner=clinician.user, left=answer.conversation, right=other, is_blind=True
    )
    assert clinician.get(path(answer)).status_code == 404
    pairing.vote = "left"
    pairing.save(update_fields=["vote"])
    assert clinician.get(path(answer)).status_code == 200
