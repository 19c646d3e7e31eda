from __future__ import annotations

import pytest
from django.urls import reverse

from apps.chat import services
from apps.chat.models import ChatMessage, Conversation
from apps.chat.services import Draft
from tests.factories import make_conversation, make_deployment

pytestmark = pytest.mark.django_db(transaction=True)


def mine(persona, **fields) -> Conversation:
    return make_conversation(owner=persona.user, **fields)


def test_the_list_shows_one_s_own_conversations(clinician):
    mine(clinician, title="About gout")
    make_conversation(title="Of somebody else")
    page = clinician.get("/chat/").content.decode()
    assert "About gout" in page
    assert "Of somebody else" not in page


def test_without_a_deployment_the_list_says_what_to_do(clinician, engineer):
    assert "Ask an engineer" in clinician.get("/chat/").content.decode()
    assert "Deploy a model" in engineer.get("/chat/").content.decode()


def test_the_first_message_makes_a_conversation_and_is_answered(clinician, model):
    client = model("**Rest.**")
    deployment = make_deployment()
    form = {"text": "Gout?\nAnd?", "deployment": deployment.pk}
    response = clinician.post("/chat/new/", form, follow=True)
    assert "<strong>Rest.</strong>" in response.content.decode()
    conversation = Conversation.objects.get(owner=clinician.user)
    assert (conversation.title, conversation.deployment) == ("Gout? And?", deployment)
    assert client.asked[0][-1].content == "Gout?\nAnd?"


def test_an_empty_first_message_keeps_the_page_and_makes_nothing(clinician):
    make_deployment()
    response = clinician.post("/chat/new/", {"text": " "})
    assert response.status_code == 422
    assert "The message is empty" in response.content.decode()
    assert not Conversation.objects.exists()


def test_a_chat_works_without_a_script(clinician, model):
    model("First.", "Second.", "Third.")
    conversation = mine(clinician)
    send = reverse("chat:send", args=[conversation.pk])
    assert "First." in clinician.post(send, {"text": "Gout?"}, follow=True).content.decode()
    assert "Second." in clinician.post(send, {"text": "And?"}, follow=True).content.decode()
    again = clinician.post(reverse("chat:regenerate", args=[conversation.pk]), follow=True)
    page = again.content.decode()
    assert "Third." in page
    assert "Second." not in page


def test_a_message_that_is_refused_stays_in_the_composer(clinician):
    conversation = mine(clinician)
    services.add_message(conversation, "Gout?")
    response = clinician.post(reverse("chat:send", args=[conversation.pk]), {"text": "More?"})
    assert response.status_code == 422
    assert "still being written" in response.content.decode()
    assert ">More?</textarea>" in response.content.decode()


def test_stop_ends_the_answer(clinician):
    conversation = mine(clinician)
    answer = services.add_message(conversation, "Gout?")
    clinician.post(reverse("chat:stop", args=[conversation.pk]))
    answer.refresh_from_db()
    assert answer.status == "stopped"


def test_the_page_warns_and_shows_flags_and_numbers(clinician):
    conversation = mine(clinician)
    answer = services.add_message(conversation, "Gout?")
    draft = Draft("Rest.", "why", 12, 4.0)
    services.finish(answer.pk, ChatMessage.Status.DONE, draft, flags=["repetition"])
    page = clinician.get(reverse("chat:detail", args=[conversation.pk])).content.decode()
    for text in (
        "Not for patient care. Demonstration model",
        "The answer repeats itself.",
        "12 tokens, 4.0 s, 3.0 tokens/s",
        "<summary>Thinking</summary>",
    ):
        assert text in page


def test_a_large_model_is_no_demonstration(clinician):
    deployment = make_deployment()
    deployment.artifact.size_bytes = 10**12
    deployment.artifact.save(update_fields=["size_bytes"])
    page = clinician.get("/chat/new/").content.decode()
    assert "Not for patient care." in page
    assert "Demonstration model" not in page


def test_what_a_reader_types_is_text(clinician):
    conversation = mine(clinician, title="<b>title</b>")
    services.add_message(conversation, "<script>alert(1)</script>")
    page = clinician.get(reverse("chat:detail", args=[conversation.pk])).content.decode()
    assert "<script>alert" not in page
    assert "<b>title" not in page


@pytest.mark.parametrize("name", ["detail", "send", "regenerate", "stop"])
def test_somebody_else_s_conversation_is_not_there(admin, stranger, name):
    address = reverse(f"chat:{name}", args=[make_conversation().pk])
    method = "get" if name == "detail" else "post"
    assert getattr(admin, method)(address).status_code == 404
    assert getattr(stranger, method)(address).status_code == 302


@pytest.mark.parametrize("name", ["send", "regenerate", "stop"])
def test_what_changes_something_takes_only_posts(clinician, name):
    address = reverse(f"chat:{name}", args=[mine(clinician).pk])
    assert clinician.get(address).status_code == 405
