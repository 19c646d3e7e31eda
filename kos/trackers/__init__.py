"""Other homes for a run's numbers: MLflow, Weights & Biases, Trackio.

Each is an extra (``pip install 'kos[trackers]'``) behind one protocol and reads the variables of
its own library. Numbers, knobs and names go there; never a prompt, an answer or a secret.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from kos.errors import UserError
from kos.trackers.base import Link, Start, Tracker

__all__ = ["TRACKERS", "Link", "Start", "Tracker", "make"]

# By name: the class here, and the library it needs.
TRACKERS = {
    "mlflow": ("kos.trackers.mlflow:Mlflow", "mlflow"),
    "wandb": ("kos.trackers.wandb:Wandb", "wandb"),
    "trackio": ("kos.trackers.trackio:Trackio", "trackio"),
}


def make(name: str) -> Tracker:
    """The tracker called ``name``. UserError for one that is unknown or not installed."""
    if name not in TRACKERS:
        known = ", ".join(TRACKERS)
        raise UserError(f"KOS_TRACKERS names {name!r}; there are {known}")
    place, library = TRACKERS[name]
    if find_spec(library) is None:
        raise UserError(f"{library} is not installed here: pip install 'kos[trackers]'")
    module, _, cls = place.partition(":")
    made: Tracker = getattr(importlib.import_module(module), cls)()
    return made
