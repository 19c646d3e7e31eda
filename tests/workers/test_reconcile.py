from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.deployments.models import Deployment
from apps.runs.models import Run, Status
from tests.factories import make_deployment, make_run
from workers import devices, reconcile

AGO = timedelta(minutes=1)


@pytest.mark.django_db
def test_a_sweep_finds_lapsed_runs_and_leaves_live_ones():
    lapsed = make_run(status="running", attempt=1, lease_until=timezone.now() - AGO)
    live = make_run(status="running", attempt=1, lease_until=timezone.now() + AGO)
    reconcile.sweep()
    assert Run.objects.get(pk=lapsed.pk).status == Status.LOST
    assert Run.objects.get(pk=live.pk).status == Status.RUNNING


@pytest.mark.django_db
def test_the_deployment_of_a_lost_run_no_longer_answers():
    run = make_run("deploy", status="running", attempt=1, lease_until=timezone.now() - AGO)
    make_deployment(run=run)
    reconcile.sweep()
    assert Deployment.objects.get().status == "stopped"


@pytest.mark.django_db
def test_a_pipeline_has_no_lease_to_lose():
    make_run("pipeline", status="running")
    reconcile.sweep()
    assert Run.objects.get().status == Status.RUNNING


@pytest.mark.parametrize(("device", "visible"), [("cpu", ""), ("cuda:0", "0"), ("cuda:12", "12")])
def test_a_job_sees_its_workers_device_alone(device, visible):
    assert devices.visible_devices(device) == visible


def test_a_jobs_process_is_not_told_where_the_database_is(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    assert "DATABASE_URL" not in devices.environment()
