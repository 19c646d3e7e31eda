"""``manage.py restart``: asks the running console to replace its processes, and waits for it."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kosweb.rolling import DONE, GIVEN_UP
from kosweb.supervisor import RESTART_LOG, is_locked

LOOK_SECONDS = 0.2
# The longest a worker may take for its checkpoint, times as many as there are, and more.
LONGEST_SECONDS = 900


class Command(BaseCommand):
    help = "Replace the web process and the workers one by one; nobody is turned away."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        lock = settings.VAR / "up.lock"
        # A backup holds it as well while it has the database started for itself.
        said = lock.read_text() if is_locked(lock) else ""
        found = re.match(r"http\S+ \(process (\d+)\)", said)
        if found is None:
            raise CommandError(f"no console of {settings.VAR} runs; start it with manage.py up")
        log = settings.VAR / RESTART_LOG
        log.unlink(missing_ok=True)
        os.kill(int(found[1]), signal.SIGUSR2)
        for line in _lines(log, lambda: is_locked(lock)):
            self.stdout.write(line)
            self.stdout.flush()
            if line.startswith(GIVEN_UP):
                raise CommandError("the console goes on as it was")


def _lines(log: Path, is_alive: Callable[[], bool]) -> Iterator[str]:
    """What the console says of its restart, up to the last of it."""
    num, end = 0, time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        text = log.read_text() if log.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        for line in lines[num:]:
            yield line
            if line.startswith((DONE, GIVEN_UP)):
                return
        num = len(lines)
        if not is_alive():
            raise CommandError("the console ended; its own output says why")
        time.sleep(LOOK_SECONDS)
    raise CommandError(f"the console did not answer in {LONGEST_SECONDS} s; see {log}")
