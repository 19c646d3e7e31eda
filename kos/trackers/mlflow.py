"""MLflow, on the server that MLFLOW_TRACKING_URI names.

MLFLOW_EXPERIMENT_NAME picks the experiment, MLFLOW_TRACKING_USERNAME, _PASSWORD and _TOKEN
sign in. The client's own retries and time limits hold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from kos.errors import UserError
from kos.trackers.base import Ending, Link, Start

STATUS = {"done": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
PARAMS = 100  # most of them in one call
METRICS = 1000
NAME = re.compile(r"[^\w\-./ :]")  # what a name may not hold


class Mlflow:
    """A run of MLflow."""

    def __init__(self) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            raise UserError("MLFLOW_TRACKING_URI is not set: the address of the server, please")
        self._uri = uri
        self._client = MlflowClient(tracking_uri=uri)
        self._id = ""

    def start(self, run: Start) -> Link:
        """Open a run, or set the one from before running again."""
        if run.id:
            self._client.update_run(run.id, status="RUNNING")
            found = self._client.get_run(run.id)
        else:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or run.project
            tags = {f"kos.{fact}": value for fact, value in run.facts.items()}
            tags |= {f"kos.tag.{_name(tag)}": "true" for tag in run.tags}
            found = self._client.create_run(self._experiment(name), tags=tags, run_name=run.name)
            params = [Param(_name(knob), str(value)) for knob, value in run.config.items()]
            for at in range(0, len(params), PARAMS):
                self._client.log_batch(found.info.run_id, params=params[at : at + PARAMS])
        self._id = found.info.run_id
        return Link(self._id, self._page(found.info.experiment_id))

    def log(self, step: int, metrics: Mapping[str, float], at: datetime) -> None:
        """The numbers of one step."""
        moment = int(at.timestamp() * 1000)
        found = [Metric(_name(name), value, moment, step) for name, value in metrics.items()]
        for start in range(0, len(found), METRICS):
            self._client.log_batch(self._id, metrics=found[start : start + METRICS])

    def finish(self, ending: Ending, summary: Mapping[str, float]) -> None:
        """Close the run, unless it goes on later."""
        if summary:
            tags = [
                RunTag(f"kos.result.{_name(name)}", f"{value:g}")
                for name, value in summary.items()
            ]
            self._client.log_batch(self._id, tags=tags[:PARAMS])
        if ending in STATUS:
            self._client.set_terminated(self._id, STATUS[ending])

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id) if found else str(self._client.create_experiment(name))

    def _page(self, experiment: str) -> str:
        parts = urlsplit(self._uri)
        if parts.scheme not in ("http", "https"):
            return ""
        host = parts.netloc.rpartition("@")[2]
        root = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        return f"{root}/#/experiments/{experiment}/runs/{self._id}"


def _name(text: str) -> str:
    return NAME.sub("_", text)[:250]
