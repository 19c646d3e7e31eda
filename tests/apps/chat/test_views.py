from __future__ import annotations

import pytest
from django.urls import reverse

from apps.chat import pairings, services
from apps.chat.models import ChatMessage, Conversation, Pairing
from apps.chat.services import Draft
from apps.traces.models import TraceFlag
from tests.apps.chat.conftest import calling
from tests.factories import make_conversation, make_deployment, make_trace

pytestmark = pytest.mark.django_db(transaction=True)


def mine(persona, **fields) -> Conversation:
    return make_conversation(owner=persona.user, **fields)


def answered(conversation: Conversation, draft: Draft | None = None, **more) -> ChatMessage:
    answer = services.add_message(conversation, "Gout?")
    draft = draft or Draft("Rest.", "why", 12, 4.0)
    services.finish(answer.pk, ChatMessage.Status.DONE, draft, **more)
    return ChatMessage.objects.get(pk=answer.pk)


def page_of(browser, conversation: Conversation) -> str:
    return browser.get(reverse("chat:detail", args=[conversation.pk])).content.decode()


def test_the_list_shows_one_s_own_conversations(clinician):
    mine(clinician, title="About gout")
    make_conversation(title="Of somebody else")
    page = clinician.get("/chat/").content.decode()
    assert "About gout" in page
    assert "Of somebody else" not in page


def test_the_list_is_searched_by_words(clinician):
    answered(mine(clinician, title="Feet"), Draft("Take colchicine early.", "", 1, 1))
    mine(clinician, title="Ears")
    page = clinician.get("/chat/", {"q": "colchicine"}).content.decode()
    assert "Take <mark>colchicine</mark> early." in page
    assert "Ears" not in page
    assert "No conversation" in clinician.get("/chat/", {"q": "nothing"}).content.decode()


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


def test_a_starter_fills_the_composer(clinician):
    make_deployment()
    page = clinician.get("/chat/new/", {"text": "Which dose?"}).content.decode()
    assert ">Which dose?</textarea>" in page
    assert "data-starter" in page


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


def test_branches_work_without_a_script(clinician, model):
    model("First.", "Second.")
    conversation = mine(clinician)
    clinician.post(reverse("chat:send", args=[conversation.pk]), {"text": "Gout?"})
    asked = conversation.messages.get(role="user")
    edit = reverse("chat:edit", args=[conversation.pk, asked.pk])
    page = clinician.post(edit, {"text": "Gout now?"}, follow=True).content.decode()
    assert "Second." in page
    assert "2 of 2" in page
    show = reverse("chat:show", args=[conversation.pk, asked.pk])
    assert "First." in clinician.post(show, follow=True).content.decode()


def test_identifiers_are_warned_of_without_a_script(clinician, model):
    model("Rest.", "Rest.")
    conversation = mine(clinician)
    send = reverse("chat:send", args=[conversation.pk])
    warned = clinician.post(send, {"text": "Mrs Jones has gout."})
    page = warned.content.decode()
    assert warned.status_code == 422
    assert "a person&#x27;s name (“Jones”)" in page
    assert ">Mrs Jones has gout.</textarea>" in page
    clinician.post(send, {"text": "Mrs Jones has gout.", "anyway": "1"})
    assert conversation.messages.first().identifiers == ["name"]
    assert "sent with possible identifiers" in page_of(clinician, conversation)


def test_a_first_message_and_an_edit_are_warned_of_too(clinician):
    make_deployment()
    response = clinician.post("/chat/new/", {"text": "DOB 12/03/1956"})
    assert "a date of birth" in response.content.decode()
    conversation = mine(clinician)
    asked = answered(conversation).parent
    edit = reverse("chat:edit", args=[conversation.pk, asked.pk])
    page = clinician.post(edit, {"text": "Call +44 7700 900123"}).content.decode()
    assert "a phone number" in page
    assert ">Call +44 7700 900123</textarea>" in page


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
    answered(conversation, flags=["repetition"])
    page = page_of(clinician, conversation)
    for text in (
        "Research tool, not for patient care.",
        "Demonstration model",
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
    assert "not for patient care." in page
    assert "Demonstration model" not in page


def test_tool_calls_and_sources_are_shown_with_where_they_are_from(clinician, model):
    model(calling("<i>gout</i>"), "Rest [S1], as [S9] says.")
    conversation = mine(clinician)
    send = reverse("chat:send", args=[conversation.pk])
    page = clinician.post(send, {"text": "Gout?"}, follow=True).content.decode()
    for text in (
        "&lt;i&gt;gout&lt;/i&gt;",
        '<span class="badge mode embedded">embedded</span>',
        "△ demonstration data",
        "S9: cited, but nothing was retrieved under this id.",
        "Some passages are demonstration data.",
    ):
        assert text in page
    assert "<i>gout" not in page


def test_a_citation_opens_the_passage_with_its_provenance(clinician, model):
    model(calling(), "Rest [S1].")
    conversation = mine(clinician)
    clinician.post(reverse("chat:send", args=[conversation.pk]), {"text": "Gout?"})
    answer = conversation.messages.last()
    address = reverse("chat:source", args=[conversation.pk, answer.pk, "S1"])
    page = clinician.get(address).content.decode()
    fragment = clinician.get(address, headers={"HX-Request": "true"}).content.decode()
    for text in ("Rest and drink.", "CC0", "Kos demonstration leaflets", "demonstration 1"):
        assert text in fragment
    assert "<html" in page
    assert "<html" not in fragment
    missing = reverse("chat:source", args=[conversation.pk, answer.pk, "S9"])
    assert clinician.get(missing).status_code == 404


def test_a_thumb_works_as_a_form_and_as_a_fragment(clinician):
    conversation = mine(clinician)
    answer = answered(conversation)
    ChatMessage.objects.filter(pk=answer.pk).update(trace=make_trace(origin="chat"))
    address = reverse("chat:feedback", args=[conversation.pk, answer.pk])
    assert clinician.post(address, {"verdict": "bad"}).status_code == 302
    form = {"explain": "1", "reason": ["unsafe"], "note": "Look."}
    fragment = clinician.post(address, form, headers={"HX-Request": "true"}).content.decode()
    assert "✓ saved" in fragment
    assert "<html" not in fragment
    assert TraceFlag.objects.get().kind == "unsafe"
    refused = clinician.post(
        address, {"explain": "1", "reason": "x"}, headers={"HX-Request": "true"}
    )
    assert refused.status_code == 422


def test_links_are_made_and_revoked_on_their_page(clinician):
    conversation = mine(clinician)
    answered(conversation)
    address = reverse("chat:share", args=[conversation.pk])
    page = clinician.post(address, {"days": "7"}, follow=True).content.decode()
    link = conversation.shares.get()
    assert f"http://testserver/chat/shared/{link.token}/" in page
    revoke = reverse("chat:revoke", args=[conversation.pk, link.pk])
    assert "revoked" in clinician.post(revoke, follow=True).content.decode()
    refused = clinician.post(address, {"days": "x"}, follow=True).content.decode()
    assert "0 is none of these" in refused


def test_files_are_named_after_the_conversation(clinician):
    conversation = mine(clinician, title="About gout")
    answered(conversation)
    for ending, kind in (("markdown", "text/markdown"), ("json", "application/json")):
        response = clinician.get(reverse(f"chat:export_{ending}", args=[conversation.pk]))
        assert response.headers["Content-Type"].startswith(kind)
        assert 'filename="about-gout.' in response.headers["Content-Disposition"]


def begin_pair(persona, model) -> Pairing:
    model("One.", "Two.", "Three.", "Four.")
    both = make_deployment(name="alpha"), make_deployment(name="beta")
    form = {"text": "Gout?", "deployment": both[0].pk, "rival": both[1].pk, "blind": "on"}
    response = persona.post("/chat/new/", form, follow=True)
    assert response.status_code == 200
    return Pairing.objects.get()


def test_two_models_are_asked_side_by_side_without_a_script(clinician, model):
    pairing = begin_pair(clinician, model)
    address = reverse("chat:pair", args=[pairing.pk])
    page = clinician.get(address).content.decode()
    assert "One." in page
    assert "Two." in page
    assert "alpha" not in page
    assert "beta" not in page
    send = reverse("chat:pair_send", args=[pairing.pk])
    assert "Four." in clinician.post(send, {"text": "And?"}, follow=True).content.decode()
    vote = reverse("chat:pair_vote", args=[pairing.pk])
    page = clinician.post(vote, {"vote": "tie"}, follow=True).content.decode()
    assert "alpha" in page
    assert "You voted: both alike." in page


def test_no_page_of_a_blind_pair_names_a_model(clinician, model):
    pairing = begin_pair(clinician, model)
    assert "names hidden" in clinician.get("/chat/").content.decode()
    assert "alpha" not in clinician.get("/chat/").content.decode().split("<tbody>")[1]
    for side in pairings.sides(pairing):
        response = clinician.get(reverse("chat:detail", args=[side.pk]))
        assert response.headers["Location"] == reverse("chat:pair", args=[pairing.pk])
        export = clinician.get(reverse("chat:export_json", args=[side.pk]))
        assert export.status_code == 302


def test_a_script_is_told_in_json_what_is_wrong_with_a_message_to_both(clinician, model):
    pairing = begin_pair(clinician, model)
    send = reverse("chat:pair_send", args=[pairing.pk])
    json = {"headers": {"Accept": "application/json"}}
    assert clinician.post(send, {"text": " "}, **json).json()["kind"] == "refused"
    warned = clinician.post(send, {"text": "Mrs Jones"}, **json)
    assert (warned.status_code, warned.json()["kind"]) == (422, "warned")
    assert clinician.post(send, {"text": "And?"}, **json).json() == {"kind": "accepted"}


def test_what_a_reader_types_is_text(clinician):
    conversation = mine(clinician, title="<b>title</b>")
    services.add_message(conversation, "<script>alert(1)</script>")
    page = page_of(clinician, conversation)
    assert "<script>alert" not in page
    assert "<b>title" not in page


READ = ("detail", "share", "export_markdown", "export_json")
WRITE = ("send", "regenerate", "stop")
OF_A_MESSAGE = ("edit", "show", "feedback")
OF_A_PAIR = ("pair_send", "pair_stop", "pair_vote")


@pytest.mark.parametrize("name", [*READ, *WRITE])
def test_somebody_else_s_conversation_is_not_there(admin, stranger, name):
    address = reverse(f"chat:{name}", args=[make_conversation().pk])
    method = "get" if name in READ else "post"
    assert getattr(admin, method)(address).status_code == 404
    assert getattr(stranger, method)(address).status_code == 302


@pytest.mark.parametrize("name", OF_A_MESSAGE)
def test_somebody_else_s_message_is_not_there(clinician, admin, name):
    conversation = make_conversation()
    foreign = answered(conversation)
    address = reverse(f"chat:{name}", args=[conversation.pk, foreign.pk])
    assert admin.post(address).status_code == 404
    # Nor does it come in by one's own conversation.
    own = reverse(f"chat:{name}", args=[mine(clinician).pk, foreign.pk])
    assert clinician.post(own).status_code == 404


def test_somebody_else_s_passage_and_pair_are_not_there(clinician, admin, model):
    pairing = begin_pair(clinician, model)
    answer = pairing.left.messages.last()
    source = reverse("chat:source", args=[pairing.left_id, answer.pk, "S1"])
    assert admin.get(source).status_code == 404
    assert admin.get(reverse("chat:pair", args=[pairing.pk])).status_code == 404
    for name in OF_A_PAIR:
        assert admin.post(reverse(f"chat:{name}", args=[pairing.pk])).status_code == 404


@pytest.mark.parametrize("name", WRITE)
def test_what_changes_something_takes_only_posts(clinician, name):
    address = reverse(f"chat:{name}", args=[mine(clinician).pk])
    assert clinician.get(address).status_code == 405


@pytest.mark.parametrize("name", [*OF_A_MESSAGE, *OF_A_PAIR])
def test_what_changes_a_message_or_a_pair_takes_only_posts(clinician, name):
    args = [1, 1] if name in OF_A_MESSAGE else [1]
    assert clinician.get(reverse(f"chat:{name}", args=args)).status_code == 405
