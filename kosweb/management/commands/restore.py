"""``manage.py restore FOLDER``: begins a new console from a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kos.errors import UserError
from kosweb.backups import database, restoring


class Command(BaseCommand):
    help = "Restore a backup into an empty database and an empty folder of artifacts."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="what manage.py backup made")

    def handle(self, folder: Path, *args: Any, **options: Any) -> None:
        try:
            with database.answering(self.say):
                kept = restoring.restore(folder, self.say)
        except UserError as error:
            raise CommandError(str(error)) from error
        for sentence in kept.left_out:
            self.say(f"not in the backup: {sentence}")
        self.say(f"restored, as of {kept.made:%Y-%m-%d %H:%M} UTC; start the console")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
