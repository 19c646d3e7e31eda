"""Import prompts from a file or a PhysicianBench folder, without the web page."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.datasets import services
from kos.data.readers import kind_of
from kos.errors import UserError

SHOWN = 20


class Command(BaseCommand):
    help = "Import a file (JSON lines, JSON, YAML, gzip) or a PhysicianBench folder as a dataset."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("path", type=Path)
        parser.add_argument("--query", default="", help="The prompt of a rubric without one.")

    def handle(self, *args: Any, **options: Any) -> None:
        path, name = options["path"], options["name"]
        if not path.exists():
            raise CommandError(f"there is nothing at {path}")
        try:
            if kind_of(path) == "labels":
                labels, found = services.import_labels(name, path)
                self.stdout.write(f"{labels}: {found.num_labels} labels")
                problems, notices = found.problems, []
            else:
                version, report = services.import_file(name, path, query=options["query"])
                self.stdout.write(f"{version}: {len(report.tasks)} prompts ({report.format})")
                problems, notices = report.problems, report.notices
        except UserError as error:
            raise CommandError(str(error)) from error
        for word, rows in (("left out", problems), ("note", notices)):
            for row in rows[:SHOWN]:
                self.stdout.write(f"line {row.line}: {word}: {row.text}")
            if len(rows) > SHOWN:
                self.stdout.write(f"and {len(rows) - SHOWN} more")
