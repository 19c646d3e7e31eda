from __future__ import annotations

import pytest
from django.db import OperationalError, connection

from kosweb import search
from tests.factories import (
    make_artifact,
    make_conversation,
    make_deployment,
    make_run,
    make_trace,
    make_user,
    make_version,
)


def titles(user, words):
    found = search.find(user, words, seconds=60)
    return {kind: [hit.title for hit in hits] for kind, hits in found.groups}


def test_a_run_is_found_by_a_part_of_its_name(engineer):
    make_run("train", name="Cardiology warm start")
    assert titles(engineer.user, "warm")["Runs"] == ["Cardiology warm start"]


def test_a_run_is_found_by_its_number_and_by_its_tag(engineer):
    run = make_run("train", name="tagged one", tags=["keeper"])
    assert titles(engineer.user, f"#{run.pk}")["Runs"] == ["tagged one"]
    assert titles(engineer.user, "keeper")["Runs"] == ["tagged one"]


def test_every_room_brings_what_it_has(admin, make_everything):
    found = titles(admin.user, "zebra")
    assert set(found) == {
        "Runs",
        "Models",
        "Deployments",
        "Datasets",
        "Chats",
        "Members",
        "Traces",
    }


@pytest.fixture
def make_everything(admin):
    run = make_run("train", name="zebra run", status="done")
    make_artifact("merged", name="zebra model", run=run)
    make_deployment(name="zebra")
    version = make_version()
    version.dataset.name = "zebra set"
    version.dataset.save(update_fields=["name"])
    make_conversation(owner=admin.user, title="A zebra question")
    make_user("zebra-person")
    make_trace(question="What is a zebra?", run=run)


def test_another_persons_chat_is_never_found(engineer):
    make_conversation(title="A private zebra")
    assert "Chats" not in titles(engineer.user, "zebra")


def test_a_clinician_finds_own_chats_and_nothing_of_engineers(clinician, make_everything):
    make_conversation(owner=clinician.user, title="My zebra")
    assert titles(clinician.user, "zebra") == {"Chats": ["My zebra"], "Datasets": ["zebra set"]}


def test_a_trace_is_found_by_its_words_its_example_and_its_number(reviewer):
    trace = make_trace(example_id="gout-7", question="Is colchicine safe?")
    for words in ("colchicine", "gout-7", str(trace.pk)):
        assert titles(reviewer.user, words)["Traces"] == ["gout-7 #0"], words


def test_the_text_of_a_benchmark_is_not_shown(reviewer):
    make_trace(question="Secret colchicine question", is_restricted=True)
    (group,) = [hits for kind, hits in search.find(reviewer.user, "colchicine", seconds=60).groups]
    assert "Secret" not in group[0].note


def test_pages_and_actions_are_those_of_the_role(clinician, engineer):
    assert "New training run" in titles(engineer.user, "new")["Actions"]
    assert titles(clinician.user, "new")["Actions"] == ["New chat"]


def test_no_more_than_five_of_a_kind_are_shown(engineer):
    for number in range(8):
        make_run(name=f"zebra {number}")
    assert len(titles(engineer.user, "zebra")["Runs"]) == 5


def test_a_room_that_takes_too_long_is_left_out_and_said_so(engineer, monkeypatch):
    def sleep(user, words, limit):
        with connection.cursor() as cursor:
            cursor.execute("select pg_sleep(5)")
        return []

    make_run(name="zebra")
    monkeypatch.setitem(search.FINDERS, "traces", sleep)
    found = search.find(engineer.user, "zebra", seconds=4)
    assert found.late == ["traces"]
    assert dict(found.groups)["Runs"]


def test_later_queries_of_the_request_are_not_cut_short(engineer):
    search.find(engineer.user, "zebra")
    with connection.cursor() as cursor:
        cursor.execute("show statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_no_time_left_asks_nothing(engineer):
    with pytest.raises(OperationalError):
        search._allow(0)


def test_the_palette_gets_options_and_others_a_page(engineer):
    make_run(name="zebra")
    fragment = engineer.get("/search/?q=zebra", headers={"HX-Request": "true"}).content.decode()
    page = engineer.get("/search/?q=zebra").content.decode()
    assert 'role="option"' in fragment
    assert "<html" not in fragment
    assert "<h1>Search</h1>" in page
    assert "zebra" in page


def test_a_name_of_markup_stays_text(engineer):
    make_run(name="<b>zebra</b>")
    assert b"<b>zebra" not in engineer.get("/search/?q=zebra").content


def test_nothing_found_says_what_would_do(engineer):
    assert b"the start of a name" in engineer.get("/search/?q=qqqq").content


@pytest.mark.parametrize("words", ["%", "'", '"', "a:*&!", "1" * 40, "- -"])
def test_odd_words_break_nothing(engineer, words):
    assert engineer.get("/search/", {"q": words}).status_code == 200


def test_a_stranger_is_sent_to_sign_in(stranger):
    assert stranger.get("/search/?q=x")["Location"].startswith("/sign-in/")


def test_searching_takes_no_post(engineer):
    assert engineer.post("/search/").status_code == 405
