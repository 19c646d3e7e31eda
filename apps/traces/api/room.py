"""The router of the traces' calls."""

from __future__ import annotations

from apps.accounts.models import Scope
from apps.automation.rest import Room

router = Room("traces", reading=Scope.TRACES_READ, writing=Scope.TRACES_WRITE)
