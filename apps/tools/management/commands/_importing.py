"""What the import commands have in common: one file or several, progress, a sentence at the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from kos.errors import UserError
from kos.tools.corpus.imports import ledger
from kos.tools.corpus.imports.catalogue import SOURCES

SECONDS_BETWEEN_LINES = 2.0


class ImportCommand(BaseCommand):
    """A command that reads public files into the corpus. Nothing of the database is needed."""

    source: str
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--release", default="", help="Its version, if the file says none.")
        parser.add_argument(
            "--again", action="store_true", help="Read a file that was done before."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.check_terms(options)
        for path in options["files"]:
            try:
                report = ledger.run(
                    SOURCES[self.source],
                    path,
                    settings.CORPUS,
                    version=options["release"],
                    is_again=options["again"],
                    on_progress=self.progress(path),
                )
            except UserError as error:
                raise CommandError(str(error)) from error
            self.stdout.write(sentence(path, report))

    def check_terms(self, options: dict[str, Any]) -> None:
        """Raise CommandError where something must be agreed to first."""

    def progress(self, path: Path) -> Any:
        """A line now and then."""
        last = time.monotonic()

        def show(entries: int, kept: int) -> None:
            nonlocal last
            if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                self.stdout.write(f"{path.name}: {entries} entries read, {kept} kept")

        return show


def sentence(path: Path, report: ledger.Report) -> str:
    """What an import did."""
    if report.is_repeated:
        return (
            f"{path.name} was imported before: {report.num_kept} of {report.num_entries} entries"
            " kept. --again reads it once more."
        )
    parts = [f"{path.name}: {report.num_kept} of {report.num_entries} entries kept"]
    if report.num_resumed:
        parts.append(f"went on after {report.num_resumed}")
    if report.num_removed:
        parts.append(f"{report.num_removed} of an earlier file removed")
    parts.append(f"version {report.version}, {report.seconds:.1f} s")
    return "; ".join(parts)
