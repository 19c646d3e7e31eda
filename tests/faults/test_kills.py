"""The console's parts are killed: a few kills of what ``benchmarks.faults`` does by the hundred."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_seven_kills_lose_double_and_change_nothing(tmp_path):
    command = [sys.executable, "-m", "benchmarks.faults", "--kills", "7", "--seed", "1"]
    # How soon a kill is noticed is the benchmark's to measure; here other tests take the cores.
    command += ["--minutes", "15", "--noticed-seconds", "150", "--folder", str(tmp_path)]
    found = subprocess.run(
        command,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    assert " 7 kills in " in found.stdout
    assert " 0 lost, 0 doubled, 0 wrongs" in found.stdout
