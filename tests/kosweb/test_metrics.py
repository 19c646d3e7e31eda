from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from apps.accounts.services import create_token
from apps.deployments.models import Usage
from kosweb import meters
from kosweb.metrics import KEPT
from tests.factories import make_deployment, make_run


@pytest.fixture(autouse=True)
def fresh(db):
    KEPT.forget()
    yield
    KEPT.forget()


def read(client: Client) -> dict[tuple[str, frozenset], float]:
    """Every sample by its name and labels, as Prometheus' own parser reads the page."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.content
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def labels(**given: str) -> frozenset:
    return frozenset(given.items())


def test_requests_are_counted_by_route_and_never_by_address(engineer, client):
    run = make_run()
    before = read(client)
    engineer.get(f"/runs/{run.pk}/")
    after = read(client)
    key = ("kos_http_requests_total", labels(method="GET", route="/runs/<int:pk>/", status="200"))
    assert after[key] - before.get(key, 0) == 1
    assert not any(f"/runs/{run.pk}/" in str(key) for key in after)


def test_times_are_kept_in_buckets(client):
    read(client)
    found = read(client)
    told = labels(method="GET", route="/metrics")
    assert found["kos_http_request_seconds_count", told] >= 1
    assert ("kos_http_request_seconds_bucket", told | {("le", "0.1")}) in found


def test_an_unknown_address_and_an_odd_method_make_no_new_names(client):
    client.get("/nothing/here/")
    client.generic("BREW", "/nothing/")
    found = read(client)
    assert ("kos_http_requests_total", labels(method="GET", route="none", status="404")) in found
    assert not any("BREW" in str(key) for key in found)


def test_runs_and_queues_are_told_from_the_database(client):
    run = make_run("train")
    type(run).objects.filter(pk=run.pk).update(created=timezone.now() - timedelta(minutes=3))
    make_run("merge", status="running", last_seq=12)
    found = read(client)
    assert found["kos_runs", labels(kind="train", status="queued")] == 1
    assert found["kos_queue_runs", labels(queue="gpu")] == 1
    assert 180 <= found["kos_queue_oldest_seconds", labels(queue="gpu")] < 200
    assert found["kos_run_events_total", frozenset()] == 12


def test_tokens_are_added_up_without_reading_old_rows_again(client):
    deployment = make_deployment(name="kos-demo")
    old = timezone.now() - timedelta(minutes=1)

    def answer() -> None:
        Usage.objects.create(
            deployment=deployment, prompt_tokens=10, completion_tokens=5, created=old
        )

    answer()
    read(client)
    answer()
    KEPT._read_at = 0.0
    name = f"kos-demo@{deployment.pk}"
    assert read(client)["kos_tokens_total", labels(deployment=name, direction="written")] == 10
    assert KEPT._last_usage == Usage.objects.latest("pk").pk


def test_asking_again_at_once_costs_the_database_nothing(client, django_assert_num_queries):
    read(client)
    with django_assert_num_queries(0):
        read(client)


def test_numbers_of_several_processes_are_added_up(client, tmp_path):
    key = ("kos_http_requests_total", labels(method="GET", route="/elsewhere", status="200"))
    before = read(client).get(key, 0)
    code = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "import django; django.setup()\n"
        "from kosweb.measuring import count\n"
        "count('GET', '/elsewhere', 200, 0.1); count('GET', '/elsewhere', 200, 0.1)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    assert read(client)[key] - before == 2


def test_what_an_ended_process_had_open_is_closed(tmp_path):
    (tmp_path / "gauge_livesum_999999999.db").touch()
    (tmp_path / "counter_999999999.db").touch()
    meters.forget_gauges(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["counter_999999999.db"]


def test_counting_begins_anew_once_all_processes_are_gone(tmp_path):
    (tmp_path / "counter_999999999.db").touch()
    meters.sweep(tmp_path)
    assert not [*tmp_path.iterdir()]


def test_the_pages_own_machine_may_read(client):
    assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    "sent", [{"REMOTE_ADDR": "10.0.0.9"}, {"HTTP_X_FORWARDED_FOR": "10.0.0.9"}]
)
def test_others_may_not_read_even_through_a_proxy_here(sent):
    assert Client(**sent).get("/metrics").status_code == 403


def test_the_token_of_the_settings_opens(settings, db):
    settings.METRICS_TOKEN = "scrape-me-gently"
    for token, is_good in (("scrape-me-gently", True), ("wrong", False)):
        sent = {"Authorization": f"Bearer {token}"}
        assert Client(REMOTE_ADDR="10.0.0.9", headers=sent).get("/metrics").status_code == (
            200 if is_good else 403
        )


def test_an_admins_token_opens_and_an_engineers_does_not(admin, engineer):
    for user, status in ((admin.user, 200), (engineer.user, 403)):
        sent = {"Authorization": f"Bearer {create_token(user, 'scraper').text}"}
        answer = Client(REMOTE_ADDR="10.0.0.9", headers=sent).get("/metrics")
        assert answer.status_code == status


def test_metrics_take_no_post(client):
    assert client.post("/metrics").status_code == 405
