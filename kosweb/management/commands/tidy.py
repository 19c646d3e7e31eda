"""``manage.py tidy [--dry-run]``: lets go what the rules of KOS_RETENTION do not keep."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.runs.storage import tidying
from apps.runs.storage.tidying import Going, Store
from kos.errors import UserError
from kosweb.backups.progress import in_words


class Command(BaseCommand):
    help = "Delete what KOS_RETENTION does not keep; with --dry-run only say what that would be."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.plan() if options["dry_run"] else self.tidy()
        except UserError as error:
            raise CommandError(str(error)) from error

    def plan(self) -> None:
        stores = tidying.stores()
        for store in stores:
            kept = f"kept for {store.rule}" if store.rule else "kept for good"
            self.say(f"{store.kind.name}: {in_words(store.total.size_bytes)}, {kept}")
            for going in store.going:
                self.say_one("would go", going, going.candidate.size_bytes)
        size = sum(store.going_bytes for store in stores)
        self.say(f"{sum(len(store.going) for store in stores)} would go, {in_words(size)}")

    def tidy(self) -> None:
        found = tidying.tidy(None, said=self.said)
        size = sum(one.size_bytes for one in found)
        self.say(f"{sum(one.num for one in found)} deleted, {in_words(size)} given back")

    def said(self, store: Store, going: Going, size_bytes: int) -> None:
        self.say_one("deleted" if size_bytes else "needed meanwhile, kept:", going, size_bytes)

    def say_one(self, what: str, going: Going, size_bytes: int) -> None:
        self.say(f"  {what} {going.candidate.name}, {in_words(size_bytes)}: {going.why}")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
