"""Registering a server elsewhere: a real one, scripted, on a port of this machine."""

from __future__ import annotations

import pytest

from kos.config import Remote
from kos.errors import UserError
from kos.events import LocalJob, Serving
from kos.serving.remote import register, server_of
from tests.kos.serving import scripted


@pytest.fixture
def server():
    with scripted.serve(key="sk-1") as server:
        yield server


def registered(job: LocalJob) -> Serving:
    (serving,) = [event for event in job.events if isinstance(event, Serving)]
    return serving


def test_the_first_model_of_the_server_is_taken_and_probed(server, tmp_path):
    job = LocalJob(tmp_path, secrets={"mine": "sk-1"})
    register(Remote(name="far", url=f"{server.url}/v1", secret="mine"), job)
    serving = registered(job)
    assert (serving.model, serving.served_model, serving.engine) == ("far", "script", "remote")
    assert serving.url == server.url
    assert serving.warm_up["text"] == "one two three"


def test_a_wrong_key_is_said_in_the_server_s_words(server, tmp_path):
    job = LocalJob(tmp_path, secrets={"mine": "sk-2"})
    with pytest.raises(UserError, match="401"):
        register(Remote(url=server.url, secret="mine"), job)


def test_a_key_that_nobody_added_is_named(server, tmp_path):
    with pytest.raises(UserError, match="no key called 'mine'"):
        register(Remote(url=server.url, secret="mine"), LocalJob(tmp_path))


def test_an_address_where_nothing_listens_is_named(tmp_path):
    with pytest.raises(UserError, match="Nothing answers at http"):
        register(Remote(url="http://127.0.0.1:9"), LocalJob(tmp_path))


def test_a_foreign_server_is_asked_in_its_own_words(server, tmp_path):
    job = LocalJob(tmp_path, secrets={"mine": "sk-1"})
    register(Remote(url=server.url, secret="mine"), job)
    assert registered(job).dialect == "server"


def test_a_dialect_that_was_chosen_stays(server, tmp_path):
    job = LocalJob(tmp_path, secrets={"mine": "sk-1"})
    config = Remote(url=server.url, secret="mine", asking={"dialect": "kimi"})
    register(config, job)
    assert registered(job).dialect == "kimi"


def test_an_address_may_end_in_v1():
    assert server_of("http://x:1/v1/") == server_of("http://x:1") == "http://x:1"
