"""Deployments over REST: their life, aliases, comparisons, and what was used."""

from apps.deployments.api import aliases, comparisons, serving, usage
from apps.deployments.api.room import router

__all__ = ["aliases", "comparisons", "router", "serving", "usage"]
