"""Conversations over REST: ask, read, judge, share, compare. Without one, ask at /v1."""

from __future__ import annotations

from apps.chat.api import conversations, messages, pairs, sharing, streams
from apps.chat.api.room import router

__all__ = ["conversations", "messages", "pairs", "router", "sharing", "streams"]
