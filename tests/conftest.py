"""Personas: one signed-in browser a role, and a stranger. ``engineer.user`` is the row."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.test import Client
from hypothesis import HealthCheck, settings

from apps.accounts.models import Role, User
from tests import factories

# How long an example takes says more of the machine than of what is tested.
SLOW = [HealthCheck.too_slow]
settings.register_profile("kos", settings.default, deadline=None, suppress_health_check=SLOW)
settings.load_profile("kos")

# The web and its tests install in seconds without torch; what needs torch is left out then.
HEAVY = ("e2e", "kos/engine", "kos/rl", "kos/weights", "kos/serving", "kos/evals/test_run.py")
collect_ignore = [] if find_spec("torch") else list(HEAVY)


class Persona(Client):
    """A browser of somebody: ``engineer.get("/runs/")``."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self.user = user
        self.force_login(user)


@pytest.fixture
def engineer(db) -> Persona:
    return Persona(factories.make_user("engineer", Role.ENGINEER))


@pytest.fixture
def clinician(db) -> Persona:
    return Persona(factories.make_user("clinician", Role.CLINICIAN))


@pytest.fixture
def reviewer(db) -> Persona:
    return Persona(factories.make_user("reviewer", Role.REVIEWER))


@pytest.fixture
def admin(db) -> Persona:
    return Persona(factories.make_user("admin", Role.ADMIN))


@pytest.fixture
def stranger(db) -> Client:
    """Somebody who has not signed in."""
    return Client()


@pytest.fixture(autouse=True)
def artifacts(tmp_path: Path, settings) -> Path:
    """Every test keeps its artifacts apart."""
    settings.ARTIFACTS = tmp_path / "artifacts"
    return settings.ARTIFACTS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what this machine has no device or program for."""
    missing = {"gpu": not shutil.which("nvidia-smi"), "browser": not shutil.which("chromium")}
    for item in items:
        for mark, is_missing in missing.items():
            if is_missing and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=f"no {mark} here"))
