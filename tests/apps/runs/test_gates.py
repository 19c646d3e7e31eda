from __future__ import annotations

import pytest

from apps.deployments import aliases
from apps.runs import services
from apps.runs.models import RunInput
from kos.errors import UserError
from tests.factories import make_artifact, make_deployment, make_run

FAILED = {"passed": False, "sentences": ["The slope is 0.02: under 0.5."]}
PASSED = {"passed": True, "sentences": ["The slope is 0.99, at least 0.5."]}


@pytest.fixture
def erased(db):
    return make_artifact("quantised", summary={"gate": FAILED})


def deploy(engineer, model, **config):
    return services.launch(engineer.user, "deploy", config, inputs={"model": model})


def test_an_export_that_lost_its_training_is_not_served(engineer, erased):
    with pytest.raises(UserError, match=r"The slope is 0.02: under 0.5. Give a reason"):
        deploy(engineer, erased)


def test_a_reason_is_kept_with_who_and_when(engineer, erased):
    run = deploy(engineer, erased, reason="To show what rounding does.")
    assert run.config["reason"] == "To show what rounding does."
    assert run.owner == engineer.user
    assert run.created is not None


def test_blanks_are_no_reason(engineer, erased):
    with pytest.raises(UserError, match="gate"):
        deploy(engineer, erased, reason="  ")


@pytest.mark.parametrize("summary", [{"gate": PASSED}, {}])
def test_what_passed_or_was_not_measured_is_served(engineer, summary):
    assert deploy(engineer, make_artifact("quantised", summary=summary)).status == "queued"


def test_a_later_survival_run_decides(engineer, erased):
    run = make_run("survival", status="done")
    RunInput.objects.create(run=run, name="quantised", artifact=erased)
    make_artifact("report", run=run, summary={"gate": PASSED})
    assert deploy(engineer, erased).status == "queued"


def test_no_alias_leads_to_it_without_a_reason(engineer, erased):
    deployment = make_deployment(artifact=erased)
    with pytest.raises(UserError, match="gate"):
        aliases.promote("kos", deployment, by=engineer.user, reason="")
    alias = aliases.promote("kos", deployment, by=engineer.user, reason="For the talk.")
    assert alias.changes.get().reason == "For the talk."
    assert alias.changes.get().by == engineer.user


def test_no_canary_is_it_without_a_reason(engineer, erased):
    alias = aliases.promote("kos", make_deployment(), by=engineer.user, reason="")
    canary = make_deployment(artifact=erased)
    with pytest.raises(UserError, match="gate"):
        aliases.share(alias, canary, percent=10, by=engineer.user)
