"""The tools over REST: what there is, one call, keys by name, and outside MCP servers."""

# In this order: a path of one word must not be taken for the name of a tool.
from apps.tools.api import calling, keys, servers
from apps.tools.api.room import router

__all__ = ["calling", "keys", "router", "servers"]
