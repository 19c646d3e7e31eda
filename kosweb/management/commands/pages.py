"""``manage.py pages NAME``: every page that somebody gets, as JSON, one a line."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.models import User
from kosweb.walk import pages


class Command(BaseCommand):
    help = "List every page with something on it, as the person NAME would get it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="whose pages")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(f"There is nobody called {options['name']}.")
        for found in pages(user):
            self.stdout.write(json.dumps({"name": found.name, "path": found.path}))
