"""``manage.py up``: the whole console on this machine, until Ctrl-C."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kos.errors import UserError
from kosweb.supervisor import Supervisor


class Command(BaseCommand):
    help = "Start the console with everything it needs; Ctrl-C stops it."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with Supervisor(self.say) as up:
                up.start()
                if up.sign_in:
                    self.say(f"Sign in as {up.sign_in}")
                self.say(f"Kos is ready at {up.address} (Ctrl-C stops it)")
                up.watch()
        except UserError as error:
            raise CommandError(str(error)) from error

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
