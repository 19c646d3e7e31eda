"""Kos's tools over MCP on standard input and output, for a client on this machine."""

from __future__ import annotations

import asyncio
import logging
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import User
from apps.tools.services import open_desk
from kos.mcp.server import serve_stdio
from kos.tools.registry import all_tools


class Command(BaseCommand):
    help = (
        'Serve the tools over MCP, say for {"command": "python", "args": ["manage.py", '
        '"mcp_stdio"]} in a client\'s settings. Nothing else may write to its standard output.'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", default="", help="whose keys the tools may use")

    def handle(self, *args: Any, user: str, **options: Any) -> None:
        owner = User.objects.filter(username=user, is_active=True).first() if user else None
        if user and owner is None:
            raise CommandError(f"there is no account called {user!r}")
        # The protocol has standard output to itself.
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
        desk = open_desk(owner)
        asyncio.run(serve_stdio(all_tools(), desk, version=settings.REVISION))
