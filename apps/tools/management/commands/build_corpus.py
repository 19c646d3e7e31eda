"""``manage.py build_corpus``: the embedded records, now rather than at the first question."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from kos.errors import UserError
from kos.tools.corpus import Corpus, build


class Command(BaseCommand):
    help = "Build the embedded corpus of the tools, unless it stands."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--again", action="store_true", help="Build it even if it stands.")

    def handle(self, *args: Any, **options: Any) -> None:
        corpus = Corpus.open(settings.CORPUS)
        started = time.monotonic()
        try:
            path = build.ensure(settings.CORPUS, is_again=options["again"])
        except UserError as error:
            raise CommandError(str(error)) from error
        seconds = time.monotonic() - started
        kinds = ", ".join(f"{count} {kind}" for kind, count in corpus.kinds().items())
        self.stdout.write(f"{path.name}: {kinds} ({seconds:.1f} s)")
