"""Datasets over REST: versions, what they hold, imports and exports, drafts of the next one."""

from apps.datasets.api import drafts, examples, imports, versions
from apps.datasets.api.shapes import router

__all__ = ["drafts", "examples", "imports", "router", "versions"]
