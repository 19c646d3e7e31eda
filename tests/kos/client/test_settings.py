from __future__ import annotations

import stat
import subprocess
import sys

from apps.runs.presets import PRESETS
from kos.client import settings
from kos.client.runs import KINDS
from kos.client.settings import Address
from kos.config import JOBS

KEPT = Address("https://kos.example", "kos_kept")


def test_what_is_kept_can_be_read_by_its_owner_alone(home):
    path = settings.keep(KEPT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert settings.find() == KEPT
    assert settings.forget()
    assert settings.find() == Address("http://127.0.0.1:8000", "")


def test_arguments_go_before_the_environment_and_that_before_what_is_kept(monkeypatch):
    settings.keep(KEPT)
    monkeypatch.setenv("KOS_URL", "http://other/")
    monkeypatch.setenv("KOS_TOKEN", "kos_env")
    assert settings.find() == Address("http://other", "kos_env")
    assert settings.find("http://third", "kos_mine") == Address("http://third", "kos_mine")


def test_a_kept_token_goes_to_no_other_console():
    settings.keep(KEPT)
    assert settings.find("http://evil.example").token == ""


def test_the_kinds_are_those_of_the_console_and_no_preset_has_such_a_name():
    assert set(KINDS) == set(JOBS)
    assert not set(KINDS) & set(PRESETS)


def test_the_client_needs_neither_django_nor_torch_nor_pydantic():
    code = (
        "import sys, kos.client\n"
        "found = {'django', 'torch', 'pydantic', 'numpy'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
