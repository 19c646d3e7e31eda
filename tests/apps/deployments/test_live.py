from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.deployments import live, metering
from apps.deployments.models import Usage
from tests.factories import make_deployment
from tests.kos.serving.fake_vllm import METRICS


def test_percentiles_are_the_nearest_rank():
    values = [15.0, 20.0, 35.0, 40.0, 50.0]
    assert [live.percentile(values, percent) for percent in (5, 30, 40, 50, 100)] == [
        *(15.0, 20.0, 20.0, 35.0, 50.0)
    ]
    assert live.percentile([], 50) is None


def test_vllm_s_numbers_are_read():
    found = live.parse_metrics(METRICS)
    assert found["vllm:num_requests_running"] == 3
    assert found["vllm:num_requests_waiting"] == 1


def test_engines_of_one_server_are_added_up():
    text = 'vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_running{engine="1"} 3.0'
    assert live.parse_metrics(text) == {"vllm:num_requests_running": 5}


@pytest.mark.django_db
def test_the_last_five_minutes_count():
    deployment = make_deployment()
    row = {"deployment": deployment, "completion_tokens": 150}
    Usage.objects.create(**row, first_token_seconds=0.2)
    Usage.objects.create(**row, first_token_seconds=0.4, status="failed")
    Usage.objects.create(**row, created=timezone.now() - timedelta(minutes=6))
    now = live.measure(deployment)
    assert (now.requests, now.failed, now.tokens_per_second) == (2, 1, 1.0)
    assert (now.first_token_p50, now.first_token_p95, now.waiting) == (0.2, 0.4, None)


@pytest.mark.django_db
def test_what_is_under_way_is_counted():
    deployment = make_deployment()
    with metering.metered(metering.Meter(deployment.pk)) as meter:
        assert live.measure(deployment).running == 1
        meter.status = "ok"
    assert live.measure(deployment).running == 0
    assert Usage.objects.get().status == "ok"


@pytest.mark.django_db
def test_what_ends_in_an_error_has_failed():
    with pytest.raises(OSError), metering.metered(metering.Meter(make_deployment().pk)):
        raise OSError
    assert Usage.objects.get().status == "failed"


@pytest.mark.django_db(transaction=True)
def test_a_row_of_somebody_who_is_gone_takes_no_other_with_it():
    deployment = make_deployment()
    book = metering.UsageBook()
    book._rows = [
        metering.Meter(deployment.pk, user_id=user_id).row() for user_id in (None, 10**6)
    ]
    book.write()
    assert Usage.objects.count() == 1
