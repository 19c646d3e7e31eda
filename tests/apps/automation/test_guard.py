"""What holds for every call: scopes, rates, unknown parameters, and repeated calls."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from apps.automation import replies
from apps.automation.models import KeptReply
from apps.runs.models import Run
from tests.factories import make_run
from tests.rest import TASK

LAUNCH = {"kind": "base", "name": "once"}


def launch(program, body=LAUNCH, key="night-1"):
    return program.post(
        "/api/runs/", body, content_type="application/json", headers={"Idempotency-Key": key}
    )


def test_a_repeated_call_gives_the_first_reply_and_does_nothing(program):
    first, second = launch(program), launch(program)
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Run.objects.count() == 1


def test_a_key_for_another_body_is_refused(program):
    launch(program)
    reply = launch(program, {"kind": "base", "name": "other"})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["loc"] == ["header", "Idempotency-Key"]


def test_a_call_that_is_being_worked_on_is_told_to_wait(program):
    launch(program)
    KeptReply.objects.update(status=None)
    reply = launch(program)
    assert (reply.status_code, reply["Retry-After"]) == (409, "2")
    assert reply.json()["type"].endswith("/in-flight")


def test_a_call_that_failed_may_be_made_again_with_its_key(program):
    assert launch(program, {"kind": "nothing"}).status_code == 409
    assert launch(program).status_code == 201


@pytest.mark.parametrize("age", [replies.KEPT_FOR, replies.GIVEN_UP_AFTER])
def test_old_and_given_up_replies_are_forgotten(program, age):
    launch(program)
    is_stuck = age == replies.GIVEN_UP_AFTER
    created = timezone.now() - age - timedelta(seconds=1)
    KeptReply.objects.update(created=created, **({"status": None} if is_stuck else {}))
    assert launch(program).status_code == 201
    assert Run.objects.count() == 2


def test_the_same_file_in_another_boundary_is_the_same_call(program):
    def send():
        file = SimpleUploadedFile("a.jsonl", TASK.model_dump_json().encode() + b"\n")
        body = {"name": "set", "file": file}
        return program.post("/api/datasets/", body, headers={"Idempotency-Key": "k"})

    first, second = send(), send()
    assert (first.status_code, first.content) == (201, second.content)
    assert second["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", "with blanks", "x" * 129, "umlaut-ü"])
def test_a_key_that_is_none_is_refused(program, key):
    assert launch(program, key=key).status_code == 422


def test_keys_of_two_people_are_apart(program, program_for):
    launch(program)
    assert "Idempotency-Replayed" not in launch(program_for("all"))


def test_a_kept_reply_is_sealed(program):
    launch(program)
    assert b"once" not in bytes(KeptReply.objects.get().body)


def test_an_unknown_parameter_is_refused_with_those_there_are(program):
    reply = program.get("/api/runs/?stauts=done")
    assert reply.status_code == 422
    assert "there are" in reply.json()["errors"][0]["msg"]
    assert "status" in reply.json()["errors"][0]["msg"]


def test_an_unknown_field_of_a_body_is_refused(program):
    reply = launch(program, LAUNCH | {"sead": 1})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["loc"][-1] == "sead"


def test_too_many_calls_are_told_to_wait(program, settings):
    settings.API_TOKEN_RATE = 2
    assert [program.get("/api/me").status_code for _ in range(3)] == [200, 200, 429]
    reply = program.get("/api/me")
    assert int(reply["Retry-After"]) >= 1
    assert reply["RateLimit"].startswith('"requests";r=0')


def test_every_reply_says_how_many_calls_are_left(program, settings):
    settings.API_TOKEN_RATE = 60
    assert program.get("/api/me")["RateLimit-Policy"] == '"requests";q=60;w=60'


def test_a_person_with_many_tokens_has_one_rate(program_for, settings):
    settings.API_USER_RATE = 2
    programs = [program_for("all") for _ in range(3)]
    assert [one.get("/api/me").status_code for one in programs] == [200, 200, 429]


def test_a_wrong_scope_names_the_one_that_is_needed(program_for):
    reply = program_for("datasets:read").get("/api/runs/")
    assert reply.status_code == 403
    assert reply.json()["type"] == "/api/problems/insufficient-scope"
    assert "runs:read" in reply.json()["detail"]
    assert 'scope="runs:read"' in reply["WWW-Authenticate"]


def test_writing_covers_reading_and_not_the_other_way(program_for):
    writer, reader = program_for("runs:write"), program_for("runs:read")
    assert writer.get("/api/runs/").status_code == 200
    assert launch(writer).status_code == 201
    assert launch(reader, key="other").status_code == 403


def test_a_nul_is_refused_and_breaks_nothing(program):
    assert program.get("/api/runs/?q=a%00b").status_code == 422
    for name in ("a\x00b", "half \ud800"):
        assert launch(program, {"kind": "base", "name": name}).status_code == 422


@pytest.mark.parametrize("body", ["{", '{"kind": NaN}', "[" * 100_000, ""])
def test_what_is_no_json_is_a_problem_of_the_caller(program, body):
    reply = program.post("/api/runs/", body, content_type="application/json")
    assert reply.status_code in (400, 422)


@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/"])
def test_a_slash_at_the_end_is_nothing(program, path):
    assert program.post(path, LAUNCH, content_type="application/json").status_code == 201


def test_what_django_refuses_is_a_problem_too(program):
    for reply, status in ((program.delete("/api/runs/"), 405), (program.get("/api/none"), 404)):
        assert (reply.status_code, reply["Content-Type"]) == (status, "application/problem+json")
    assert program.delete("/api/runs/")["Allow"]


def test_every_reply_has_an_id_and_a_problem_repeats_it(program):
    reply = program.get("/api/runs/999999", headers={"X-Request-ID": "mine-12345"})
    assert reply["X-Request-ID"] == reply.json()["request_id"] == "mine-12345"


def test_a_number_beyond_the_database_is_not_found(program):
    make_run(owner=program.user)
    assert program.get(f"/api/runs/{2**70}").status_code == 404
