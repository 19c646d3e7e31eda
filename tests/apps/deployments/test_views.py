from __future__ import annotations

import pytest
from django.urls import reverse

from apps.deployments import aliases
from apps.deployments.models import Allowance, Comparison, Usage
from apps.runs.models import Run, RunInput, Status
from apps.tools.services import set_key
from kos.events import Serving
from tests.factories import make_deployment, make_run

pytestmark = pytest.mark.django_db
WHY = {"reason": "It repeats itself."}


def page(client, name: str, *arguments, **options) -> str:
    response = client.get(reverse(f"deployments:{name}", args=arguments), **options)
    assert response.status_code == 200
    return response.content.decode()


def send(client, name: str, *arguments, **data):
    address = reverse(f"deployments:{name}", args=arguments)
    return client.post(address, data, follow=True)


# --- List and page ----------------------------------------------------------------------------
def test_the_list_shows_the_status_of_each(engineer):
    make_deployment(name="kos-a")
    make_deployment(name="kos-b", run=make_run("deploy", status="lost"))
    text = page(engineer, "list")
    assert "kos-a" in text
    assert "ready" in text
    assert "stopped" in text


def test_the_list_shows_where_aliases_lead(engineer):
    aliases.promote("clinic", make_deployment(name="kos-a"), by=None, reason="First.")
    assert reverse("deployments:alias", args=["clinic"]) in page(engineer, "list")


def test_an_empty_list_says_what_to_do(engineer):
    assert "Nothing is deployed" in page(engineer, "list")


def test_the_page_links_to_the_model_s_lineage(engineer):
    deployment = make_deployment()
    text = page(engineer, "detail", deployment.pk)
    assert reverse("runs:model", args=[deployment.artifact_id]) in text
    assert deployment.artifact.digest in text


def test_the_page_shows_how_it_is_asked_and_its_first_answer(engineer):
    deployment = make_deployment(
        asking={"tools": ["search_icd"]},
        dialect="hermes",
        warm_up={"text": "Hello you.", "first_token_seconds": 0.25, "tokens_per_second": 12.5},
    )
    text = page(engineer, "detail", deployment.pk)
    for part in ("search_icd", "hermes", "Hello you.", "0.25 s", "12.5 tokens/s"):
        assert part in text


def test_htmx_gets_the_live_numbers_alone(engineer):
    deployment = make_deployment()
    Usage.objects.create(deployment=deployment, completion_tokens=600, first_token_seconds=0.125)
    text = page(engineer, "detail", deployment.pk, headers={"HX-Request": "true"})
    assert text.startswith('<div id="live" hx-get=')
    assert "0.125 s" in text
    assert "2.0" in text


def test_a_stopped_deployment_is_not_polled(engineer):
    deployment = make_deployment(status="stopped")
    assert "every 2s" not in page(engineer, "detail", deployment.pk)


def test_the_health_check_answers_with_a_fragment_or_the_page(engineer):
    address = reverse("deployments:health", args=[make_deployment(status="stopped").pk])
    assert "It is stopped" in engineer.post(address).content.decode()
    fragment = engineer.post(address, headers={"HX-Request": "true"}).content.decode()
    assert fragment.startswith('<p id="health"')


# --- Its life ---------------------------------------------------------------------------------
def test_stop_asks_the_run_to_stop_and_keeps_the_reason(engineer):
    deployment = make_deployment()
    text = send(engineer, "stop", deployment.pk, **WHY).content.decode()
    deployment.run.refresh_from_db()
    assert deployment.run.status == Status.STOPPING
    assert WHY["reason"].replace("'", "&#x27;") in text


def test_stop_needs_a_reason(engineer):
    deployment = make_deployment()
    assert "Say why" in send(engineer, "stop", deployment.pk).content.decode()
    deployment.run.refresh_from_db()
    assert deployment.run.status == Status.RUNNING


def test_a_stopped_one_is_started_again_by_a_new_run(engineer):
    deployment = make_deployment(status="stopped", run=make_run("deploy", status="done"))
    RunInput.objects.create(run=deployment.run, name="model", artifact=deployment.artifact)
    response = send(engineer, "start", deployment.pk, **WHY)
    run = Run.objects.filter(kind="deploy").first()
    assert run.pk != deployment.run_id
    assert response.redirect_chain == [(reverse("runs:detail", args=[run.pk]), 302)]


def test_what_serves_is_not_started(engineer):
    response = send(engineer, "start", make_deployment().pk, **WHY)
    assert "nothing to start" in response.content.decode()


def test_promote_makes_an_alias_and_shows_it(engineer):
    deployment = make_deployment(name="kos-a")
    text = send(engineer, "promote", deployment.pk, alias="clinic", **WHY).content.decode()
    assert "clinic leads to kos-a" in text
    assert aliases.pick("clinic") == deployment


def test_a_name_that_is_no_alias_is_refused(engineer):
    response = send(engineer, "promote", make_deployment().pk, alias="No!", **WHY)
    assert "Small letters" in response.content.decode()


# --- A remote server --------------------------------------------------------------------------
def remote_fields(**changed) -> dict[str, object]:
    return {
        "name": "far",
        "url": "https://models.example/v1",
        "served_model": "big",
        "secret": "mine",
        "max_context": 8192,
        "alias": "",
        "asking-dialect": "auto",
        "asking-tools_as": "typescript",
        "asking-thinking": "on",
        "asking-system_prompt": "Be brief.",
        "asking-observation_tokens": 2000,
        "asking-tools": ["search_icd", "read_url"],
        "asking-sampling-max_tokens": 99,
        "asking-sampling-temperature": 0.5,
        "asking-sampling-top_p": 1,
    } | changed


def test_a_remote_server_is_probed_by_a_run(engineer):
    set_key("mine", "sk-1234567890", by=engineer.user)
    response = engineer.post(reverse("deployments:remote"), remote_fields())
    run = Run.objects.get(kind="remote")
    assert response.url == reverse("runs:detail", args=[run.pk])
    assert run.settings.asking.tools == ("search_icd", "read_url")
    assert (run.settings.secret, run.settings.asking.sampling.max_tokens) == ("mine", 99)


@pytest.mark.parametrize(
    ("changed", "place"),
    [({"url": "ftp://x"}, "id_url"), ({"name": "No!"}, "id_name"), ({"secret": "?"}, "id_secret")],
)
def test_a_wrong_field_is_named(engineer, changed, place):
    set_key("mine", "sk-1234567890", by=engineer.user)
    response = engineer.post(reverse("deployments:remote"), remote_fields(**changed))
    assert response.status_code == 400
    assert f'href="#{place}"' in response.content.decode()
    assert not Run.objects.filter(kind="remote").exists()


def test_the_form_offers_keys_and_tools_by_name(engineer):
    set_key("mine", "sk-1234567890", by=engineer.user)
    text = page(engineer, "remote")
    assert '<option value="mine">' in text
    assert '<option value="search_pubmed">' in text
    assert "sk-1234567890" not in text


# --- An alias ---------------------------------------------------------------------------------
@pytest.fixture
def two(db):
    """An alias called clinic, promoted from the first to the second."""
    rows = make_deployment(name="kos-a"), make_deployment(name="kos-b")
    for row in rows:
        aliases.promote("clinic", row, by=None, reason=f"Because of {row.name}.")
    return rows


def test_the_alias_shows_its_history(engineer, two):
    text = page(engineer, "alias", "clinic")
    assert "Because of kos-a." in text
    assert "Because of kos-b." in text
    assert "Roll back" in text


def test_rolling_back_needs_a_reason(engineer, two):
    assert "Say why" in send(engineer, "roll_back", "clinic").content.decode()
    assert aliases.pick("clinic") == two[1]
    assert "leads to kos-a" in send(engineer, "roll_back", "clinic", **WHY).content.decode()
    assert aliases.pick("clinic") == two[0]


def test_another_deployment_is_promoted_from_the_alias(engineer, two):
    send(engineer, "move", "clinic", deployment=two[0].pk, **WHY)
    assert aliases.pick("clinic") == two[0]


def test_a_share_is_set_and_ended(engineer, two):
    fields = {"share-canary": two[0].pk, "share-percent": 25, "share-reason": "A trial."}
    assert "25 %" in send(engineer, "share", "clinic", **fields).content.decode()
    ended = {"share-canary": "", "share-percent": 0, "share-reason": "Worse."}
    send(engineer, "share", "clinic", **ended)
    assert aliases.route("clinic").canary is None


def test_a_share_beyond_all_is_refused(engineer, two):
    fields = {"share-canary": two[0].pk, "share-percent": 101, "share-reason": "A trial."}
    assert "Percent" in send(engineer, "share", "clinic", **fields).content.decode()


# --- Usage ------------------------------------------------------------------------------------
def test_everybody_sees_their_own_usage_and_admins_all(clinician, admin):
    Usage.objects.create(user=clinician.user, token_name="notebook", completion_tokens=3)
    Usage.objects.create(user=admin.user, token_name="nightly")
    own = page(clinician, "usage")
    assert "notebook" in own
    assert "nightly" not in own
    assert "notebook" in page(admin, "usage")


def test_an_admin_sets_limits(admin, clinician):
    fields = {"user": clinician.user.pk, "tokens_per_day": 500, "requests_per_minute": 5}
    assert "are set" in send(admin, "allow", **fields).content.decode()
    assert Allowance.objects.get().tokens_per_day == 500
    assert "500" in page(clinician, "usage")
    wrong = fields | {"tokens_per_day": -1}
    assert "Tokens per day" in send(admin, "allow", **wrong).content.decode()


# --- Comparing --------------------------------------------------------------------------------
def test_a_comparison_without_enough_deployments_says_so(engineer):
    fields = {"prompts": "Gout?", "max_tokens": 9, "temperature": 0}
    response = engineer.post(
        reverse("deployments:compare"), fields | {"deployments": [make_deployment().pk]}
    )
    assert response.status_code == 400
    assert "Choose 2 to 4 deployments." in response.content.decode()


def test_a_running_comparison_is_polled_and_a_finished_one_is_not(engineer):
    column = {"pk": 1, "name": "kos-a", "form": "base", "engine": "vLLM"}
    row = Comparison.objects.create(
        owner=engineer.user, prompts=["Gout?"], columns=[column] * 2, answers=[[None, None]]
    )
    text = page(engineer, "comparison", row.pk, headers={"HX-Request": "true"})
    assert text.startswith('<div id="comparison"')
    assert "every 1s" in text
    send(engineer, "stop_comparison", row.pk)
    assert "every 1s" not in page(engineer, "comparison", row.pk)
    assert "kos-a" in page(engineer, "compare")


def test_an_answer_s_text_is_not_markup(engineer):
    column = {"pk": 1, "name": "kos-a", "form": "base", "engine": "vLLM"}
    answer = {"text": "<script>alert(1)</script>", "num_tokens": 1}
    row = Comparison.objects.create(
        owner=engineer.user, prompts=["<b>?"], columns=[column], answers=[[answer]], status="done"
    )
    text = page(engineer, "comparison", row.pk)
    assert "&lt;script&gt;" in text
    assert "<b>?" not in text


# --- Who comes in -----------------------------------------------------------------------------
GETS = ("list", "detail", "remote", "alias", "compare", "comparison")
POSTS = ("health", "stop", "start", "promote", "move", "roll_back", "share", "stop_comparison")


@pytest.mark.parametrize("name", [*GETS, *POSTS])
def test_only_engineers_come_in(clinician, stranger, name):
    deployment = make_deployment()
    alias = aliases.promote("clinic", deployment, by=None, reason="First.")
    made = Comparison.objects.create(owner=clinician.user, prompts=["?"], columns=[])
    arguments = {
        **dict.fromkeys(("list", "remote", "compare"), ()),
        **dict.fromkeys(("alias", "move", "roll_back", "share"), (alias.name,)),
        **dict.fromkeys(("comparison", "stop_comparison"), (made.pk,)),
    }.get(name, (deployment.pk,))
    address = reverse(f"deployments:{name}", args=arguments)
    method = "get" if name in GETS else "post"
    assert getattr(clinician, method)(address).status_code == 403
    assert getattr(stranger, method)(address).status_code == 302
    wrong = "put" if name in GETS else "get"
    assert getattr(engineer_of(clinician), wrong)(address).status_code == 405


def engineer_of(client):
    client.user.role = "engineer"
    client.user.save(update_fields=["role"])
    return client


def test_the_usage_page_is_for_members_and_limits_for_admins(engineer, stranger):
    assert stranger.get(reverse("deployments:usage")).status_code == 302
    assert engineer.post(reverse("deployments:allow")).status_code == 403
    assert engineer.post(reverse("deployments:usage")).status_code == 405


def test_a_number_that_is_not_there_is_a_404(engineer):
    for name, arguments in (("detail", (999,)), ("alias", ("none",)), ("comparison", (999,))):
        assert engineer.get(reverse(f"deployments:{name}", args=arguments)).status_code == 404


def test_a_remote_deployment_s_page_shows_its_key_by_name_alone(engineer):
    from apps.deployments.services import mark_ready
    from kos.config import Remote

    config = Remote(name="far", secret="mine").model_dump(mode="json")
    run = make_run("remote", config=config)
    set_key("mine", "sk-1234567890", by=engineer.user)
    deployment = mark_ready(run, Serving("http://far", "far", engine="remote", served_model="big"))
    text = page(engineer, "detail", deployment.pk)
    assert "Remote server, as big" in text
    assert "sk-1234567890" not in text
