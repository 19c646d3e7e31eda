"""``manage.py prepare``: tables and static files as this release has them; ``up`` does it too."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from kosweb import static_files


class Command(BaseCommand):
    help = "Bring tables and static files up to date, while an older Kos may still run."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        static_files.collect()
