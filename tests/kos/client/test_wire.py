from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from kos.client import KosError, UnreachableError
from tests.kos.client.fake import client, ok, refusal

RUN = {"id": 7, "status": "queued", "name": "night", "kind": "train"}
LOST = httpx.ReadError("connection reset")


def test_a_post_that_got_lost_is_sent_again_under_the_same_key():
    kos, asked, slept = client(LOST, LOST, ok(RUN, 201))
    assert kos.runs.launch("train").id == 7
    keys = {request.headers["Idempotency-Key"] for request in asked}
    assert (len(asked), len(keys), len(slept)) == (3, 1, 2)


def test_two_starts_have_two_keys():
    kos, asked, _ = client(ok(RUN, 201))
    kos.runs.launch("train")
    kos.runs.launch("train")
    assert asked[0].headers["Idempotency-Key"] != asked[1].headers["Idempotency-Key"]


def test_a_key_of_the_caller_s_own_is_kept():
    kos, asked, _ = client(ok(RUN, 201))
    kos.runs.launch("train", key="nightly-2026-11-22")
    assert asked[0].headers["Idempotency-Key"] == "nightly-2026-11-22"


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_for_as_long_as_kos_asks(status):
    kos, _, slept = client(refusal(status, {"Retry-After": "7"}), ok(RUN))
    assert kos.runs.get(7).name == "night"
    assert slept == [7.0]


def test_a_date_in_retry_after_is_understood():
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=9), usegmt=True)
    kos, _, slept = client(refusal(503, {"Retry-After": then}), ok(RUN))
    kos.runs.get(7)
    assert 5 < slept[0] <= 9


def test_a_wait_until_midnight_is_an_error_and_not_a_sleep():
    kos, _, slept = client(refusal(429, {"Retry-After": "40000"}, detail="the day is used up"))
    with pytest.raises(KosError, match="the day is used up"):
        kos.runs.get(7)
    assert slept == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_what_is_wrong_is_not_asked_again(status):
    kos, asked, _ = client(refusal(status, detail="no such thing"))
    with pytest.raises(KosError) as caught:
        kos.runs.stop(7)
    assert (caught.value.status, caught.value.detail, len(asked)) == (status, "no such thing", 1)


def test_a_first_try_that_is_still_at_work_is_waited_for():
    kos, asked, slept = client(LOST, refusal(409, {"Retry-After": "2"}), ok(RUN, 201))
    assert kos.runs.launch("train").id == 7
    assert (len(asked), slept[1]) == (3, 2.0)


def test_it_gives_up_with_a_sentence():
    kos, asked, _ = client(httpx.ConnectError("Connection refused"), tries=4)
    with pytest.raises(UnreachableError, match=r"http://kos\.test: Connection refused"):
        kos.runs.get(7)
    assert len(asked) == 4


def test_an_error_names_the_fields_and_the_call():
    errors = [{"loc": ["body", "config", "steps"], "msg": "should be at least 1"}]
    kos, _, _ = client(refusal(422, {"X-Request-ID": "abc123"}, errors=errors))
    with pytest.raises(KosError) as caught:
        kos.runs.launch("train")
    assert str(caught.value) == "config.steps: should be at least 1 (422)"
    assert caught.value.request_id == "abc123"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.request_id) == (str(caught.value), "abc123")


def test_a_list_is_fetched_page_by_page_and_no_further_than_asked():
    pages = [ok({"items": [RUN] * 200, "next": "c1"}), ok({"items": [RUN] * 50, "next": "c2"})]
    kos, asked, _ = client(*pages)
    assert len([*kos.runs.list(status=["done", "failed"], limit=250)]) == 250
    assert len(asked) == 2
    first, second = (dict(request.url.params.multi_items()) for request in asked)
    assert asked[0].url.params.get_list("status") == ["done", "failed"]
    assert (first["limit"], second["limit"], second["cursor"]) == ("200", "50", "c1")
    assert "cursor" not in first


def test_what_is_not_kos_is_said_to_be_not_kos():
    kos, _, _ = client(lambda request: httpx.Response(200, text="<html>It works!</html>"))
    with pytest.raises(KosError, match=r"kos\.test is not Kos's API"):
        kos.runs.get(7)


def test_a_preset_and_a_kind_are_told_apart():
    kos, asked, _ = client(ok(RUN, 201))
    kos.runs.launch("train")
    kos.runs.launch("smoke-train")
    assert b'"kind":"train","preset":""' in asked[0].content
    assert b'"kind":"","preset":"smoke-train"' in asked[1].content
