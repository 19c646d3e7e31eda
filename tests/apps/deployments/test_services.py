from __future__ import annotations

import pytest

from apps.deployments import services
from apps.deployments.models import Alias, Change, Deployment
from apps.runs.models import RunInput
from apps.tools.services import set_key
from kos.config import Deploy, Remote
from kos.errors import UserError
from kos.events import Serving
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
    deployment = services.mark_ready(run, Serving("http+unix://x", "kos"))
    assert (deployment.name, deployment.url, deployment.is_ready) == ("kos", "http+unix://x", True)
    assert deployment.artifact == run.inputs.get().artifact


def test_the_next_attempt_takes_the_deployment_over():
    run = deploy_run()
    services.mark_ready(run, Serving("http+unix://a", "kos"))
    services.mark_stopped(run)
    services.mark_ready(run, Serving("http+unix://b", "kos"))
    deployment = Deployment.objects.get()
    assert (deployment.url, deployment.is_ready) == ("http+unix://b", True)


def remote_run(**fields):
    config = Remote(name="far", secret="mine", **fields).model_dump(mode="json")
    return make_run("remote", status="running", config=config)


def far(run=None) -> Deployment:
    serving = Serving("http://far", "far", engine="remote", served_model="big-one")
    return services.mark_ready(run or remote_run(), serving)


def test_a_deployment_keeps_how_it_is_asked_and_its_first_answer():
    config = Deploy(asking={"tools": ["search_icd"]}, max_context=512).model_dump(mode="json")
    serving = Serving("u", "kos", engine="vllm", dialect="hermes", warm_up={"text": "Hi."})
    deployment = services.mark_ready(deploy_run(config=config), serving)
    assert (deployment.engine, deployment.dialect) == ("vllm", "hermes")
    assert (deployment.how.tools, deployment.max_context) == (("search_icd",), 512)
    assert deployment.warm_up == {"text": "Hi."}


def test_online_lora_keeps_its_adapter():
    run = deploy_run()
    adapter = make_artifact("adapter")
    RunInput.objects.create(run=run, name="adapter", artifact=adapter)
    deployment = services.mark_ready(run, Serving("u", "kos", engine="vllm"))
    assert (deployment.adapter, deployment.form) == (adapter, "Merged BF16 + online LoRA")


def test_a_remote_deployment_outlives_the_run_that_registered_it():
    deployment = far()
    run = deployment.run
    assert not services.mark_stopped(run)
    run.status = "done"
    run.save(update_fields=["status"])
    deployment.refresh_from_db()
    assert deployment.is_ready
    assert Deployment.objects.ready().get() == deployment
    assert (deployment.secret, deployment.served_model) == ("mine", "big-one")


def test_a_remote_deployment_is_stopped_and_started_without_a_run(engineer):
    deployment = far()
    services.stop(deployment, by=engineer.user, reason="Too slow.")
    deployment.refresh_from_db()
    assert deployment.state == "stopped"
    services.start_again(deployment, by=engineer.user)
    deployment.refresh_from_db()
    assert deployment.is_ready
    assert [change.action for change in deployment.changes.all()] == [
        "started",
        "stopped",
        "ready",
    ]


def test_starting_again_makes_a_run_with_the_same_inputs(engineer):
    run = deploy_run()
    deployment = services.mark_ready(run, Serving("u", "kos"))
    services.mark_stopped(run)
    deployment.refresh_from_db()
    again = services.start_again(deployment, by=engineer.user)
    assert again.config == run.config
    assert again.inputs.get().artifact == run.inputs.get().artifact


def test_what_serves_cannot_be_started(engineer):
    with pytest.raises(UserError, match="nothing to start"):
        services.start_again(make_deployment(), by=engineer.user)


def test_a_crash_is_counted_and_kept_in_the_history():
    run = deploy_run()
    deployment = services.mark_ready(run, Serving("u", "kos"))
    services.mark_restarting(run, "vLLM ended with code 9.")
    deployment.refresh_from_db()
    assert (deployment.state, deployment.num_restarts) == ("starting", 1)
    assert Change.objects.filter(action="restarted").get().reason == "vLLM ended with code 9."


def test_an_alias_in_the_settings_is_promoted_once():
    run = deploy_run(config=Deploy(alias="kos-clinic").model_dump(mode="json"))
    deployment = services.mark_ready(run, Serving("u", "kos"))
    services.mark_ready(run, Serving("u", "kos"))
    assert Alias.objects.get().deployment == deployment
    assert Change.objects.filter(action="promoted").count() == 1


def test_the_key_of_a_remote_server_comes_from_the_keys(engineer):
    deployment = far()
    with pytest.raises(UserError, match="The key 'mine' of far is gone"):
        services.key_of(deployment)
    set_key("mine", "sk-123456", by=None)
    assert services.client_for(deployment).key == "sk-123456"


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
