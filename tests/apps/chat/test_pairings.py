from __future__ import annotations

import pytest

from apps.chat import exports, pairings, services, sharing
from apps.chat.models import ChatMessage, Conversation, Pairing
from apps.chat.services import Draft, IdentifiersError
from kos.errors import UserError
from tests.factories import make_deployment, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def pairing() -> Pairing:
    both = make_deployment(name="alpha"), make_deployment(name="beta")
    return pairings.begin(make_user(role="clinician"), both, "Gout?", is_blind=True)


def finish(pairing: Pairing) -> None:
    for answer in ChatMessage.objects.writing():
        services.finish(answer.pk, ChatMessage.Status.DONE, Draft("Rest.", "", 1, 1))


def test_both_are_asked_the_same(pairing):
    sides = pairings.sides(pairing)
    assert {side.deployment.name for side in sides} == {"alpha", "beta"}
    assert [side.messages.first().content for side in sides] == ["Gout?", "Gout?"]


def test_chance_decides_who_stands_left_when_names_are_hidden(monkeypatch):
    alpha, beta = make_deployment(name="alpha"), make_deployment(name="beta")
    monkeypatch.setattr(pairings.secrets, "randbelow", lambda n: 1)
    user = make_user()
    assert pairings.begin(user, (alpha, beta), "Gout?", is_blind=True).left.deployment == beta
    assert pairings.begin(user, (alpha, beta), "Gout?").left.deployment == alpha


def test_a_message_goes_to_both_or_to_none(pairing):
    finish(pairing)
    with pytest.raises(IdentifiersError):
        pairings.add_message(pairing, "Mrs Jones again.")
    right = services.add_message(pairing.right, "Only here?")
    with pytest.raises(UserError, match="still being written"):
        pairings.add_message(pairing, "And then?")
    assert pairing.left.messages.count() == 2
    services.finish(right.pk, ChatMessage.Status.DONE, Draft("Rest.", "", 1, 1))
    assert len(pairings.add_message(pairing, "And then?")) == 2


def test_one_votes_once_and_then_sees_the_names(pairing):
    with pytest.raises(UserError, match="until both answers"):
        pairings.vote(pairing, "left")
    finish(pairing)
    assert pairing.hides_names
    pairings.vote(pairing, "left", note="shorter")
    pairing.refresh_from_db()
    assert (pairing.vote, pairing.note, pairing.hides_names) == ("left", "shorter", False)
    with pytest.raises(UserError, match="voted"):
        pairings.vote(pairing, "right")


def test_an_unknown_vote_is_refused(pairing):
    finish(pairing)
    with pytest.raises(UserError, match="no vote 'both'"):
        pairings.vote(pairing, "both")


def test_nothing_gives_the_names_away_before_the_vote(pairing):
    finish(pairing)
    for act in (sharing.share, exports.to_markdown, exports.to_json):
        with pytest.raises(UserError, match="Vote first"):
            act(Conversation.objects.get(pk=pairing.left_id))


def test_a_deployment_is_not_compared_with_itself():
    alpha = make_deployment()
    with pytest.raises(UserError, match="two different"):
        pairings.begin(make_user(), (alpha, alpha), "Gout?")


def test_two_side_by_side_are_one_entry_of_the_list(pairing):
    mine = Conversation.objects.visible_to(pairing.owner)
    assert [*mine.listed()] == [pairing.left]
    services.finish(
        pairing.right.messages.last().pk, ChatMessage.Status.DONE, Draft("Allopurinol.", "", 1, 1)
    )
    assert [*mine.listed().search("allopurinol")] == [pairing.left]
