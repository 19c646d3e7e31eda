"""Runs over REST, and the models they keep: the same services as the pages."""

from apps.runs.api import (
    comparing,
    launching,
    listing,
    numbers,
    presets,
    storing,
    waiting,
    weighing,
)
from apps.runs.api.models import router as models_router
from apps.runs.api.shapes import router
from apps.runs.api.streams import router as streams_router

__all__ = [
    "comparing",
    "launching",
    "listing",
    "models_router",
    "numbers",
    "presets",
    "router",
    "storing",
    "streams_router",
    "waiting",
    "weighing",
]
