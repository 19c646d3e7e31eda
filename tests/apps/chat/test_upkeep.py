"""A conversation called otherwise, or deleted."""

from __future__ import annotations

import pytest

from apps.chat import pairings
from apps.chat.models import Conversation
from tests.factories import make_conversation, make_deployment

# A stop asks the database from a thread of its own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def conversation() -> Conversation:
    return make_conversation()


def test_a_conversation_is_called_otherwise_by_its_owner(conversation, stranger, clinician):
    path = f"/chat/{conversation.pk}/rename/"
    assert clinician.post(path, {"title": "Mine now"}).status_code == 404
    stranger.force_login(conversation.owner)
    assert stranger.get(path).status_code == 405
    stranger.post(path, {"title": " Gout,\n in short "})
    assert "needs a letter" in stranger.post(path, {"title": " "}, follow=True).content.decode()
    conversation.refresh_from_db()
    assert conversation.title == "Gout, in short"


def test_a_deleted_conversation_takes_the_one_beside_it_and_its_links(clinician, stranger):
    both = make_deployment(), make_deployment()
    pairing = pairings.begin(clinician.user, both, "Gout?")
    path = f"/chat/{pairing.right_id}/delete/"
    assert stranger.post(path).status_code == 302
    assert Conversation.objects.count() == 2
    page = clinician.post(path, follow=True).content.decode()
    assert "The conversation is gone" in page
    assert not Conversation.objects.exists()


def test_nobody_deletes_what_is_not_theirs(conversation, clinician):
    assert clinician.post(f"/chat/{conversation.pk}/delete/").status_code == 404
    assert Conversation.objects.exists()
