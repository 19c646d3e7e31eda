"""``manage.py backup FOLDER``: keeps the database and its artifacts; the console goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kos.errors import UserError
from kosweb.backups import database, making
from kosweb.backups.manifest import Manifest
from kosweb.backups.progress import in_words


class Command(BaseCommand):
    help = "Back up the database and the artifacts it names; the console may go on meanwhile."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="a new folder for the backup")
        parser.add_argument(
            "--without-models", action="store_true", help="the database alone, no artifacts"
        )
        parser.add_argument(
            "--with-keys",
            action="store_true",
            help="keep the secret key and the encryption keys too: who has the backup can then"
            " open every sealed secret in it, who has not keeps them elsewhere or loses those",
        )
        parser.add_argument(
            "--link",
            action="store_true",
            help="artifacts as hard links where they lie on the same disk: quick and small, but"
            " no help when that disk fails",
        )

    def handle(self, folder: Path, *args: Any, **options: Any) -> None:
        try:
            with database.answering(self.say):
                made = making.make(
                    folder,
                    self.say,
                    models=not options["without_models"],
                    keys=options["with_keys"],
                    links=options["link"],
                )
        except UserError as error:
            raise CommandError(str(error)) from error
        self.tell(folder, made)

    def tell(self, folder: Path, made: Manifest) -> None:
        for sentence in made.left_out:
            self.stderr.write(f"left out: {sentence}")
        artifacts = f"{len(made.artifacts)} artifacts" if made.has_models else "no artifacts"
        self.say(f"{folder} is whole: {in_words(made.size_bytes)}, the database and {artifacts}")
        if made.has_keys:
            self.say("The keys are in it: keep it as safe as a password.")
        else:
            self.say(
                "The keys are not in it (--with-keys): without KOS_VAR/secret_key, or what"
                " KOS_SECRET_KEY and KOS_ENCRYPTION_KEY say, no sealed secret opens again."
            )

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
