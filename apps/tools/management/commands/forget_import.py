"""``manage.py forget_import NAME``: delete what was imported from one sort of file."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from kos.tools.corpus.imports import ledger
from kos.tools.corpus.imports.catalogue import SOURCES


class Command(BaseCommand):
    help = "Delete what was imported from one sort of file."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=list(SOURCES))

    def handle(self, *args: Any, **options: Any) -> None:
        if not ledger.forget(options["name"], settings.CORPUS):
            raise CommandError(f"Nothing was imported as {options['name']}.")
        self.stdout.write(f"{options['name']}: what was imported is deleted.")
