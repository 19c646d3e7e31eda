"""Weights & Biases: WANDB_API_KEY signs in, WANDB_MODE=offline keeps it on this machine.

WANDB_PROJECT, WANDB_ENTITY and WANDB_BASE_URL hold. Neither code, nor console output, nor
what else runs on the machine is sent.
"""

from __future__ import annotations

import netrc
import os
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import wandb

from kos.errors import UserError
from kos.trackers.base import Ending, Link, Start

CLOUD = "https://api.wandb.ai"
SECONDS = 60.0
CODES = {"done": 0, "waiting": 0, "failed": 1, "cancelled": 255}


class Wandb:
    """A run of W&B."""

    def __init__(self) -> None:
        mode = os.environ.get("WANDB_MODE", "online")
        # The library would ask for a key on the worker's terminal, and wait.
        if mode in ("online", "run") and not _has_key():
            raise UserError("WANDB_API_KEY is not set; WANDB_MODE=offline would do without")
        self._run: Any = None

    def start(self, run: Start) -> Link:
        """Open a run; W&B resumes by the id, which is ours to choose."""
        run.folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            disable_job_creation=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            init_timeout=SECONDS,
            login_timeout=SECONDS,
        )
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or run.project,
            id=run.id or f"kos-{secrets.token_hex(6)}",
            name=run.name,
            resume="allow",
            config={**run.config, **{f"kos.{fact}": value for fact, value in run.facts.items()}},
            tags=[tag[:64] for tag in run.tags],
            dir=run.folder,
            settings=settings,
            reinit="create_new",  # jobs of one worker run side by side
        )
        # A step done again after a crash would go back on W&B's own count, and be dropped.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        return Link(self._run.id, _page(self._run))

    def log(self, step: int, metrics: Mapping[str, float], at: datetime) -> None:
        """The numbers of one step."""
        self._run.log({**metrics, "step": step})

    def finish(self, ending: Ending, summary: Mapping[str, float]) -> None:
        """Close the run; one that goes on later is marked so."""
        self._run.summary.update({f"result.{name}": value for name, value in summary.items()})
        self._run.finish(exit_code=CODES[ending])


def _page(run: Any) -> str:
    # ``run.url`` warns of an offline run, where there is no page.
    return "" if run.offline else str(run.url or "")


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or CLOUD).hostname or ""
    file = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        return netrc.netrc(str(file)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
