"""``manage.py reseal_keys``: put every kept key under the newest encryption key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.tools import services
from kos.errors import UserError


class Command(BaseCommand):
    help = "Encrypt every kept key anew, with the first of KOS_ENCRYPTION_KEY."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = services.reseal_keys()
        except UserError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{count} keys are sealed with the newest encryption key.")
