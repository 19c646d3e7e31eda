from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from apps.automation import rates
from apps.automation.rates import Bucket, Buckets
from apps.deployments import limits
from apps.deployments.limits import Grant
from apps.deployments.models import Usage
from tests.factories import make_user


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    now = [1000.0]
    # The module's own clock: the event loop goes on by the real one.
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_bucket_gives_its_size_and_then_says_when_to_come_back(clock):
    bucket = Bucket(3)
    assert [bucket.take().is_allowed for _ in range(4)] == [True, True, True, False]
    assert bucket.take().retry_seconds == 20


def test_requests_come_back_evenly(clock):
    bucket = Bucket(60)
    bucket.left = 0.0
    clock[0] += 2.0
    assert [bucket.take().is_allowed for _ in range(3)] == [True, True, False]


def test_the_headers_say_limit_rest_and_reset(clock):
    bucket = Bucket(4)
    headers = bucket.take().headers
    assert headers["RateLimit-Policy"] == '"requests";q=4;w=60'
    assert headers["RateLimit"] == '"requests";r=3;t=15'
    assert headers["x-ratelimit-remaining-requests"] == "3"


def test_each_caller_has_a_bucket():
    buckets = Buckets()
    assert buckets.take("token:1", 1).is_allowed
    assert not buckets.take("token:1", 1).is_allowed
    assert buckets.take("token:2", 1).is_allowed
    assert buckets.take("token:3", 0) == (True, {}, 0)


def test_full_buckets_are_dropped_when_there_are_many(clock, monkeypatch):
    monkeypatch.setattr(rates, "MOST_BUCKETS", 2)
    buckets = Buckets()
    for name in ("a", "b"):
        buckets.take(name, 60)
    clock[0] += 60
    buckets.take("c", 60)
    assert [*buckets._buckets] == ["c"]


@pytest.mark.django_db
def test_an_admin_s_grant_replaces_the_usual_limits():
    user = make_user()
    assert limits.grant_of(user) == Grant()
    limits.set_allowance(user, tokens_per_day=5, requests_per_minute=6)
    limits.set_allowance(user, tokens_per_day=7, requests_per_minute=6)
    assert limits.grant_of(user) == (7, 6)


@pytest.mark.django_db
def test_the_day_counts_prompts_and_answers_of_today_alone():
    user = make_user()
    row = {"user": user, "prompt_tokens": 10, "completion_tokens": 4}
    Usage.objects.create(**row)
    Usage.objects.create(**row, created=timezone.now() - timedelta(days=1, minutes=1))
    Usage.objects.create(prompt_tokens=99)
    assert limits.tokens_today(user) == 14
