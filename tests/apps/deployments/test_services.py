from __future__ import annotations

import pytest

from apps.deployments import services
from apps.deployments.models import Deployment
from apps.runs.models import RunInput
from kos.serving import local
from kos.serving.client import socket_url
from tests.factories import make_artifact, make_deployment, make_run

pytestmark = pytest.mark.django_db


class Mute:
    """A model that is never asked."""

    end_ids: frozenset[int] = frozenset()


def deploy_run(**fields):
    run = make_run("deploy", status="running", **fields)
    RunInput.objects.create(run=run, name="model", artifact=make_artifact("merged"))
    return run


def test_a_run_that_serves_becomes_a_ready_deployment():
    run = deploy_run()
    deployment = services.mark_ready(run, url="http+unix://x", model="kos")
    assert (deployment.name, deployment.url, deployment.is_ready) == ("kos", "http+unix://x", True)
    assert deployment.artifact == run.inputs.get().artifact


def test_the_next_attempt_takes_the_deployment_over():
    run = deploy_run()
    services.mark_ready(run, url="http+unix://a", model="kos")
    services.mark_stopped(run)
    services.mark_ready(run, url="http+unix://b", model="kos")
    deployment = Deployment.objects.get()
    assert (deployment.url, deployment.is_ready) == ("http+unix://b", True)


def test_a_stop_counts_once():
    run = make_deployment().run
    assert services.mark_stopped(run)
    assert not services.mark_stopped(run)
    assert not services.mark_stopped(make_run())


def test_the_newest_ready_deployment_of_a_name_answers():
    make_deployment(name="kos")
    newest = make_deployment(name="kos")
    make_deployment(name="kos", status="stopped")
    assert services.find_ready("kos") == newest


def test_an_unknown_name_lists_the_ready_ones():
    make_deployment(name="kos")
    with pytest.raises(services.UnknownModelError, match="'gpt'; ready are: kos"):
        services.find_ready("gpt")


def test_what_a_lost_run_served_is_not_ready():
    lost = make_deployment(run=make_run("deploy", status="lost"))
    assert (lost.is_ready, lost.state) == (False, "stopped")
    assert not Deployment.objects.ready().exists()


def test_health_is_asked_of_the_server(tmp_path):
    path = tmp_path / "x.sock"
    deployment = make_deployment(url=socket_url(path))
    with local.serve(Mute(), name="kos", path=path, max_context=9):
        assert services.check_health(deployment).is_ok
    health = services.check_health(deployment)
    assert not health.is_ok
    assert "does not answer" in health.sentence


def test_a_stopped_deployment_is_not_asked():
    health = services.check_health(make_deployment(status="stopped"))
    assert health == (False, "It is stopped: there is no server to ask.")
