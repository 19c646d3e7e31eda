"""Trackio: on this machine (TRACKIO_DIR), or at TRACKIO_SERVER_URL or TRACKIO_SPACE_ID.

What it cannot send it keeps on this machine and says so in the worker's log, not to us.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

import trackio

from kos.trackers.base import Ending, Link, Start


class Trackio:
    """A run of Trackio."""

    def __init__(self) -> None:
        self._run: trackio.Run | None = None

    def start(self, run: Start) -> Link:
        """Open a run; Trackio resumes by its name."""
        facts = {f"kos.{fact}": value for fact, value in run.facts.items()}
        name = run.id or f"{run.name}-{run.facts.get('run', '')}".rstrip("-")
        self._run = trackio.init(
            project=run.project,
            name=name,
            config={**run.config, **facts, "kos.tags": ", ".join(run.tags)},
            resume="allow" if run.id else "never",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return Link(name, _page())

    def log(self, step: int, metrics: Mapping[str, float], at: datetime) -> None:
        """The numbers of one step."""
        assert self._run is not None
        self._run.log(dict(metrics), step=step)

    def finish(self, ending: Ending, summary: Mapping[str, float]) -> None:
        """Send what is left."""
        assert self._run is not None
        if summary:
            self._run.log({f"result.{name}": value for name, value in summary.items()})
        self._run.finish()


def _page() -> str:
    if space := os.environ.get("TRACKIO_SPACE_ID"):
        return f"https://huggingface.co/spaces/{space}"
    parts = urlsplit(os.environ.get("TRACKIO_SERVER_URL", ""))
    # Its query may hold the token that lets one write.
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else ""
