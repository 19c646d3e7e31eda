from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.chat import exports, services, sharing
from apps.chat.models import ChatMessage, Conversation, Share
from apps.chat.services import Draft
from kos.errors import UserError
from tests.factories import make_conversation, make_deployment, make_user

pytestmark = pytest.mark.django_db
SOURCE = {
    "id": "S1",
    "title": "Rest",
    "url": "https://leaflet.example/rest",
    "text": "<script>alert(1)</script> Rest and drink.",
    "provenance": {"provider": "leaflets", "mode": "embedded", "licence": "CC0"},
}
DRAFT = Draft("**Rest** [S1].", "secret thought", 3, 1.5, sources=[SOURCE])


@pytest.fixture
def conversation() -> Conversation:
    owner = make_user("dr-ada", role="clinician")
    conversation = make_conversation(owner=owner, deployment=make_deployment(name="alpha"))
    answer = services.add_message(conversation, "Gout?")
    services.finish(answer.pk, ChatMessage.Status.DONE, DRAFT)
    return Conversation.objects.get(pk=conversation.pk)


def read(browser, link: Share) -> str:
    response = browser.get(link.get_absolute_url())
    assert response.status_code == 200
    return response.content.decode()


def test_a_link_is_read_without_an_account_and_names_nobody(conversation, stranger):
    page = read(stranger, sharing.share(conversation))
    assert "<strong>Rest</strong>" in page
    for hidden in ("dr-ada", "alpha", "secret thought", "/chat/1/"):
        assert hidden not in page


def test_a_link_may_name_the_model(conversation, stranger):
    assert "alpha" in read(stranger, sharing.share(conversation, shows_model=True))


def test_what_is_written_after_a_link_is_not_in_it(conversation, stranger):
    link = sharing.share(conversation)
    services.add_message(conversation, "A private question?")
    assert "private question" not in read(stranger, link)


def test_an_ended_or_revoked_link_shows_nothing(conversation, stranger):
    ended, revoked = sharing.share(conversation), sharing.share(conversation)
    Share.objects.filter(pk=ended.pk).update(expires=timezone.now() - timedelta(seconds=1))
    assert sharing.revoke(conversation, revoked.pk)
    assert not sharing.revoke(conversation, revoked.pk)
    for link in (ended, revoked):
        assert stranger.get(link.get_absolute_url()).status_code == 404


def test_a_link_tells_robots_and_caches_to_keep_off(conversation, stranger):
    response = stranger.get(sharing.share(conversation).get_absolute_url())
    assert response.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in response.headers["Cache-Control"]
    assert response.headers["Referrer-Policy"] == "no-referrer"


def test_a_shared_passage_opens_and_is_text(conversation, stranger):
    link = sharing.share(conversation)
    address = f"{link.get_absolute_url()}source/{link.leaf_id}/"
    page = stranger.get(f"{address}S1/").content.decode()
    assert "Rest and drink." in page
    assert "<script>alert" not in page
    assert stranger.get(f"{address}S2/").status_code == 404


def test_a_link_opens_no_other_message_of_the_conversation(conversation, stranger):
    link = sharing.share(conversation)
    other = services.regenerate(conversation)
    services.finish(other.pk, ChatMessage.Status.DONE, DRAFT)
    address = f"{link.get_absolute_url()}source/{other.pk}/S1/"
    assert stranger.get(address).status_code == 404


def test_a_link_lasts_as_long_as_the_list_allows(conversation):
    with pytest.raises(UserError, match="3650 is none"):
        sharing.share(conversation, days=3650)


def test_an_unfinished_answer_is_not_shared(conversation):
    services.add_message(conversation, "And then?")
    with pytest.raises(UserError, match="no finished answer"):
        sharing.share(conversation)


def test_markdown_holds_the_branch_with_its_sources(conversation):
    text = exports.to_markdown(conversation)
    assert "## Answer of alpha\n\n**Rest** [S1]." in text
    assert "- [S1] Rest. https://leaflet.example/rest. leaflets, embedded. CC0" in text
    assert "research tool" in text


def test_json_holds_every_branch(conversation):
    again = services.regenerate(conversation)
    services.finish(again.pk, ChatMessage.Status.DONE, DRAFT)
    rows = exports.to_json(Conversation.objects.get(pk=conversation.pk))
    assert len(rows["messages"]) == 3
    assert rows["shown"] == [rows["messages"][0]["id"], again.pk]
