"""What the database's absence shows as: it restarts, or the line to it broke."""

from __future__ import annotations

from django.db import InterfaceError, OperationalError

AWAY = (OperationalError, InterfaceError)
