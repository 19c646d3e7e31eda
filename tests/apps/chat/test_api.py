"""Conversations over REST: everything that the playground does, and for whom."""

from __future__ import annotations

import json

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient, Client

from apps.accounts import services as accounts
from apps.accounts.models import Scope
from apps.chat import answers, services
from apps.chat.api.streams import Told, follow
from apps.chat.models import ChatMessage, Conversation, Pairing, Share
from apps.chat.services import Draft
from apps.deployments.models import Deployment
from tests.apps.chat.conftest import WORDS, calling
from tests.factories import make_conversation, make_deployment, make_user

# Answers are written by tasks with connections of their own.
pytestmark = pytest.mark.django_db(transaction=True)
JSON = "application/json"


def post(browser, path: str, **body):
    return browser.post(f"/api/chat/{path}", body, content_type=JSON)


def put(browser, path: str, **body):
    return browser.put(f"/api/chat/{path}", body, content_type=JSON)


def mine(persona, **fields) -> Conversation:
    return make_conversation(owner=persona.user, **fields)


def answered(conversation: Conversation, text: str = "Rest.") -> ChatMessage:
    answer = services.add_message(conversation, "Gout?")
    services.finish(answer.pk, ChatMessage.Status.DONE, Draft(text, "", 1, 1.0))
    return ChatMessage.objects.get(pk=answer.pk)


def test_a_conversation_begins_goes_on_and_is_read(clinician, model):
    model("Rest.", "Drink.")
    make_deployment()
    first = post(clinician, "", text="Gout?")
    assert (first.status_code, first.json()["status"]) == (201, "done")
    place = first.json()["conversation"]
    assert post(clinician, f"{place}/messages", text="And?").json()["content"] == "Drink."
    rows = clinician.get(f"/api/chat/{place}/messages").json()["items"]
    assert [row["content"] for row in rows] == ["Gout?", "Rest.", "And?", "Drink."]


def test_a_conversation_is_called_otherwise_and_deleted(clinician):
    path = f"/api/chat/{mine(clinician).pk}"
    found = clinician.patch(path, {"title": " About  gout "}, content_type=JSON)
    assert found.json()["title"] == "About gout"
    assert clinician.patch(path, {"title": "  "}, content_type=JSON).status_code == 409
    assert clinician.delete(path).status_code == 204
    assert clinician.get(path).status_code == 404


def test_a_question_asked_in_other_words_is_a_branch(clinician, model):
    model("In the foot.")
    answer = answered(mine(clinician))
    told = post(clinician, f"messages/{answer.parent_id}/edit", text="Gout in the foot?")
    assert told.json()["content"] == "In the foot."
    place = answer.conversation_id
    shown = clinician.get(f"/api/chat/{place}/messages").json()["items"]
    assert [row["content"] for row in shown] == ["Gout in the foot?", "In the foot."]
    rows = clinician.get(f"/api/chat/{place}/messages", {"branch": "false"}).json()["items"]
    assert len(rows) == 4


def test_an_answer_is_given_again_and_the_older_one_shown(clinician, model):
    model("Another.")
    answer = answered(mine(clinician))
    again = post(clinician, f"messages/{answer.pk}/regenerate").json()
    assert (again["content"], again["parent"]) == ("Another.", answer.parent_id)
    assert post(clinician, f"messages/{answer.pk}/show").json()["leaf"] == answer.pk


def test_a_call_sent_again_asks_nothing_twice(clinician, model):
    client = model("Rest.", "Never.")
    make_deployment()
    headers = {"Idempotency-Key": "once"}
    body = {"text": "Gout?"}
    told = [
        clinician.post("/api/chat/", body, content_type=JSON, headers=headers) for _ in range(2)
    ]
    assert told[0].json() == told[1].json()
    assert (len(client.asked), Conversation.objects.count()) == (1, 1)


def test_what_may_tell_who_a_patient_is_needs_a_second_word(clinician, model):
    model("Rest.")
    make_deployment()
    text = "Mrs Jones, DOB 12/03/1956, has gout."
    refused = post(clinician, "", text=text)
    assert (refused.status_code, Conversation.objects.count()) == (409, 0)
    assert "who a patient is" in refused.json()["detail"]
    assert post(clinician, "", text=text, is_warned=True).status_code == 201


def test_an_answer_is_stopped(clinician):
    conversation = mine(clinician)
    answer = services.add_message(conversation, "Gout?")
    assert post(clinician, f"{conversation.pk}/stop").status_code == 204
    assert clinician.get(f"/api/chat/messages/{answer.pk}").json()["status"] == "stopped"


def test_an_answer_is_judged_and_sent_to_the_reviewers(clinician):
    path = f"messages/{answered(mine(clinician)).pk}/feedback"
    told = put(clinician, path, is_good=False, reasons=["unsafe"], is_for_review=True).json()
    assert told == {"is_good": False, "reasons": ["unsafe"], "note": "", "is_for_review": True}
    assert put(clinician, path, is_good=True).json()["is_for_review"] is True
    assert put(clinician, path, is_for_review=False).json()["is_for_review"] is False


def test_an_answer_says_where_it_comes_from(clinician):
    answer = answered(mine(clinician))
    path = f"/api/chat/messages/{answer.pk}/origin"
    steps = clinician.get(path).json()["steps"]
    assert steps[0]["kind"] == "Deployment"
    question = f"/api/chat/messages/{answer.parent_id}/origin"
    assert clinician.get(question).status_code == 404


def test_a_link_is_made_read_by_anybody_and_ended(clinician, stranger):
    place = answered(mine(clinician)).conversation_id
    made = post(clinician, f"{place}/shares", days=1)
    assert (made.status_code, made.json()["is_live"]) == (201, True)
    assert stranger.get(made.json()["url"]).status_code == 200
    assert clinician.delete(f"/api/chat/shares/{made.json()['id']}").status_code == 204
    assert stranger.get(made.json()["url"]).status_code == 404
    [row] = clinician.get(f"/api/chat/{place}/shares").json()["items"]
    assert row["is_live"] is False
    assert post(clinician, f"{place}/shares", days=5).status_code == 422


def test_a_conversation_is_kept_as_a_file(clinician):
    place = answered(mine(clinician)).conversation_id
    assert len(clinician.get(f"/api/chat/{place}/export").json()["messages"]) == 2
    text = clinician.get(f"/api/chat/{place}/export.md")
    assert text["Content-Type"] == "text/markdown; charset=utf-8"
    assert "## Answer" in text.content.decode()


@pytest.fixture
def blind(clinician, model) -> Pairing:
    """Two that were asked over the API, with names hidden."""
    model("Rest.", "Drink.", "More.", "Less.")
    ids = [make_deployment(name=name).pk for name in ("alpha", "beta")]
    told = post(clinician, "pairs", text="Gout?", deployments=ids, is_blind=True)
    assert told.status_code == 201, told.json()
    return Pairing.objects.get(pk=told.json()["pair"])


def test_a_blind_comparison_tells_no_name_before_the_vote(clinician, blind):
    found = clinician.get(f"/api/chat/pairs/{blind.pk}").json()
    assert (found["hides_names"], found["left"]["deployment"]) == (True, None)
    for side in (blind.left, blind.right):
        assert clinician.get(f"/api/chat/{side.pk}").json()["deployment"] is None
        [_, answer] = clinician.get(f"/api/chat/{side.pk}/messages").json()["items"]
        assert answer["trace"] is None
        assert clinician.get(f"/api/chat/messages/{answer['id']}/origin").status_code == 404
        assert clinician.get(f"/api/chat/{side.pk}/export").status_code == 409
    voted = post(clinician, f"pairs/{blind.pk}/vote", vote="left", note="shorter").json()
    assert voted["left"]["deployment"] == blind.left.deployment_id
    assert post(clinician, f"pairs/{blind.pk}/vote", vote="right").status_code == 409


def test_both_are_asked_on_and_stopped(clinician, blind):
    told = post(clinician, f"pairs/{blind.pk}/messages", text="And?").json()
    assert sorted([told["left"]["content"], told["right"]["content"]]) == ["Less.", "More."]
    assert post(clinician, f"pairs/{blind.pk}/stop").status_code == 204
    listed = clinician.get("/api/chat/pairs").json()["items"]
    assert [row["id"] for row in listed] == [blind.pk]
    rows = clinician.get("/api/chat/").json()["items"]
    assert [(row["id"], row["pairing"]) for row in rows] == [(blind.left_id, blind.pk)]


def test_a_list_of_comparisons_asks_the_database_once(
    clinician, blind, django_assert_max_num_queries
):
    for _ in range(3):
        sides = mine(clinician), mine(clinician)
        Pairing.objects.create(owner=clinician.user, left=sides[0], right=sides[1])
    with django_assert_max_num_queries(8):
        assert len(clinician.get("/api/chat/pairs").json()["items"]) == 4
    with django_assert_max_num_queries(8):
        assert len(clinician.get("/api/chat/").json()["items"]) == 4


def calls_on(conversation: Conversation) -> list[tuple[str, str]]:
    """Every call that names something of the conversation."""
    answer = answered(conversation)
    link = Share.objects.create(
        conversation=conversation, leaf=answer, expires="2999-01-01T00:00:00Z"
    )
    other = make_conversation(owner=conversation.owner)
    pair = Pairing.objects.create(owner=conversation.owner, left=conversation, right=other)
    one, said = f"{conversation.pk}", f"messages/{answer.pk}"
    return [
        *(("get", path) for path in (one, f"{one}/messages", f"{one}/shares", f"{one}/export")),
        *(("get", path) for path in (f"{one}/export.md", said, f"{said}/origin")),
        *(("post", f"{said}/{verb}") for verb in ("edit", "regenerate", "show")),
        *(("post", f"{one}/{verb}") for verb in ("messages", "stop", "shares")),
        *(("post", f"pairs/{pair.pk}/{verb}") for verb in ("messages", "stop", "vote")),
        *(("get", f"pairs/{pair.pk}"), ("patch", one), ("delete", f"shares/{link.pk}")),
        *(("put", f"{said}/feedback"), ("delete", one)),
    ]


BODIES = {"vote": {"vote": "left"}, "shares": {}, "stop": {}, "show": {}, "regenerate": {}}


def call(browser, verb: str, path: str, **more) -> int:
    word = path.rsplit("/", 1)[-1]
    body = {} if verb in ("patch", "put") else BODIES.get(word, {"text": "Gout?"})
    given = {} if verb in ("get", "delete") else {"data": body, "content_type": JSON}
    return getattr(browser, verb)(f"/api/chat/{path}", **given, **more).status_code


def test_what_is_somebody_elses_is_not_there_and_strangers_sign_in(clinician, admin, stranger):
    conversation = mine(clinician)
    for verb, path in calls_on(conversation):
        assert call(stranger, verb, path) == 401, path
        assert call(admin, verb, path) == 404, path
    assert Conversation.objects.filter(pk=conversation.pk).exists()


def test_a_token_for_reading_changes_nothing(clinician):
    token = accounts.create_token(clinician.user, "reader", scopes=[Scope.CHAT_READ]).text
    headers = {"Authorization": f"Bearer {token}"}
    for verb, path in calls_on(mine(clinician)):
        wanted = 200 if verb == "get" else 403
        assert call(Client(), verb, path, headers=headers) == wanted, path


def test_without_a_deployment_the_call_says_so(clinician):
    refused = post(clinician, "", text="Gout?")
    assert (refused.status_code, "start one first" in refused.json()["detail"]) == (409, True)
    gone = make_deployment(status=Deployment.Status.STOPPED)
    assert post(clinician, "", text="Gout?", deployment=gone.pk).status_code == 404


def read(frame: bytes) -> tuple[str, dict]:
    lines = dict(line.split(": ", 1) for line in frame.decode().strip().splitlines())
    return lines["event"], json.loads(lines["data"])


async def test_an_answer_is_followed_to_its_end(model):
    model(calling(), WORDS, pause_seconds=0.01)
    conversation = await sync_to_async(make_conversation)()
    answer = await sync_to_async(services.add_message)(conversation, "Gout?")
    await answers.start(answer)
    frames = [read(frame) async for frame in follow(conversation, answer.pk)]
    assert [event for event, _ in frames[-1:]] == ["end"]
    assert (frames[-1][1]["content"], frames[-1][1]["status"]) == (WORDS, "done")
    drafts = [data for event, data in frames if event == "draft"]
    assert drafts[0]["is_first"]
    last = max(place for place, data in enumerate(drafts) if data["is_first"])
    told = "".join(data["content"] for data in drafts[last:])
    assert told
    assert WORDS.startswith(told)


def test_what_a_caller_has_is_not_sent_again():
    told = Told()
    assert told.news(Draft("Re", "", 1, 0.1))["content"] == "Re"
    assert told.news(Draft("Rest", "", 2, 0.2))["content"] == "st"
    assert told.news(Draft("Rest", "", 2, 0.3)) is None
    again = told.news(Draft("No", "", 3, 0.4, epoch=1))
    assert (again["is_first"], again["content"]) == (True, "No")
    call = {"call": {"id": "1"}, "is_running": True}
    assert told.news(Draft("No", "", 3, 0.5, [call], epoch=1))["tools"][0]["place"] == 0
    assert told.news(Draft("No", "", 3, 0.6, [call], epoch=1)) is None


async def test_over_http_an_answer_that_is_over_comes_whole_and_only_to_its_owner():
    conversation = await sync_to_async(make_conversation)()
    answer = await sync_to_async(answered)(conversation)
    path = f"/api/chat/messages/{answer.pk}/stream"
    for user, status in ((conversation.owner, 200), (await sync_to_async(make_user)(), 404)):
        token = (await sync_to_async(accounts.create_token)(user, "t")).text
        reply = await AsyncClient().get(path, headers={"Authorization": f"Bearer {token}"})
        assert reply.status_code == status
        if status == 200:
            [frame] = [chunk async for chunk in reply.streaming_content]
            assert read(frame)[1]["content"] == "Rest."
    assert (await AsyncClient().get(path)).status_code == 401
