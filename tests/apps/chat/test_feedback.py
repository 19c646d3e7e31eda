from __future__ import annotations

import pytest

from apps.chat import feedback, services
from apps.chat.models import ChatMessage
from apps.chat.services import Draft
from apps.traces.models import TraceFlag
from kos.errors import UserError
from tests.factories import make_conversation, make_trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def answer() -> ChatMessage:
    answer = services.add_message(make_conversation(), "Gout?")
    services.finish(answer.pk, ChatMessage.Status.DONE, Draft("Rest.", "", 1, 1))
    ChatMessage.objects.filter(pk=answer.pk).update(trace=make_trace(origin="chat"))
    return ChatMessage.objects.get(pk=answer.pk)


def kinds() -> set[str]:
    return set(TraceFlag.objects.open().values_list("kind", flat=True))


def test_the_same_thumb_twice_takes_it_back(answer):
    owner = answer.conversation.owner
    assert feedback.judge(answer, owner, is_good=True).is_good is True
    assert feedback.judge(answer, owner, is_good=False).is_good is False
    assert feedback.judge(answer, owner, is_good=False).is_good is None


def test_reasons_become_flags_of_the_trace(answer):
    owner = answer.conversation.owner
    feedback.explain(answer, owner, ["unsafe", "missing_red_flag"], note="No sepsis.")
    assert kinds() == {"unsafe", "missing_red_flag"}
    assert TraceFlag.objects.first().note == "No sepsis."
    feedback.explain(answer, owner, ["unsafe"])
    assert kinds() == {"unsafe"}
    feedback.judge(answer, owner, is_good=True)
    assert kinds() == set()


def test_a_flag_for_review_stands_beside_reasons(answer):
    owner = answer.conversation.owner
    feedback.explain(answer, owner, ["outdated"])
    feedback.flag(answer, owner)
    assert kinds() == {"outdated", "review"}
    feedback.flag(answer, owner)
    assert kinds() == {"outdated"}


def test_an_unknown_reason_is_refused(answer):
    with pytest.raises(UserError, match="no reason 'ugly'"):
        feedback.explain(answer, answer.conversation.owner, ["ugly"])


def test_only_a_finished_answer_is_judged(answer):
    owner = answer.conversation.owner
    with pytest.raises(UserError, match="finished"):
        feedback.judge(answer.parent, owner, is_good=True)
    again = services.regenerate(answer.conversation)
    with pytest.raises(UserError, match="finished"):
        feedback.judge(again, owner, is_good=True)
