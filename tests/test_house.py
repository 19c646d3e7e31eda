"""Rules of the house that no single room can hold."""

from __future__ import annotations

import re
import subprocess
import sys

from django.conf import settings

from apps.runs import queue
from kos.config import JOBS
from kosweb.celery import app


def test_the_task_that_runs_are_rung_for_is_registered():
    app.loader.import_default_modules()
    assert queue.EXECUTE in app.tasks


def test_every_kind_of_job_has_a_queue_that_is_served():
    assert {config.queue for config in JOBS.values()} == set(settings.QUEUES)


def test_the_web_process_never_loads_torch():
    code = (
        "import os, sys\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "import kosweb.asgi, kosweb.urls\n"
        "found = {'torch', 'transformers', 'vllm', 'numpy', 'workers'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=settings.ROOT)


def test_the_rooms_import_one_way_only():
    check = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
    )
    assert check.returncode == 0, check.stdout


def test_only_the_settings_read_the_environment():
    # Jobs' processes have no settings; what they are told lies in their environment.
    allowed = {"kosweb/environment.py", "kosweb/embedded/process.py"}
    readers = {
        str(file.relative_to(settings.ROOT))
        for room in ("apps", "kosweb")
        for file in (settings.ROOT / room).rglob("*.py")
        if re.search(r"os\.environ(?!\.setdefault)|os\.getenv", file.read_text())
    }
    assert readers <= allowed


def test_every_setting_is_told_to_whoever_installs_kos():
    text = (settings.ROOT / "kosweb" / "settings.py").read_text()
    docs = [settings.ROOT / "README.md", *(settings.ROOT / "docs").glob("*.md")]
    told = "".join(file.read_text() for file in docs)
    assert not [name for name in sorted(set(re.findall(r"KOS_[A-Z_]+", text))) if name not in told]
