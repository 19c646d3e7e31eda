"""Traces over REST: reading, what stands behind an answer, and saying what is wrong with it."""

from apps.traces.api import behind, reading
from apps.traces.api.room import router

__all__ = ["behind", "reading", "router"]
