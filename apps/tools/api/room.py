"""The calls of the tools."""

from __future__ import annotations

from apps.accounts.models import Scope
from apps.automation.rest import Room

router = Room("tools", reading=Scope.TOOLS, writing=Scope.TOOLS)
