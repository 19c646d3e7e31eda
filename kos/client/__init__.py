"""Kos from a program: ``from kos.client import Kos``. Only httpx is needed beside the standard library.

    with Kos("http://127.0.0.1:8000", token="kos_...") as kos:
        run = kos.runs.launch("smoke-train", inputs={"base": 1}, dataset=1, wait=True)
        print(run.status, kos.runs.artifacts(run))

Calls that change something carry an ``Idempotency-Key`` of their own, so a call that failed on
its way is sent again without being done twice. Whatever goes wrong is a ``KosError``. The same
is on the command line: ``kos --help``.
"""

from __future__ import annotations

from kos.client.chat import Answer, Delta
from kos.client.errors import KosError, UnreachableError
from kos.client.kos import Kos
from kos.client.rows import (
    Artifact,
    Change,
    DatasetVersion,
    Deployment,
    Event,
    File,
    Line,
    Progress,
    Record,
    Run,
)
from kos.client.signatures import sign, webhook_is_genuine

__all__ = [
    "Answer",
    "Artifact",
    "Change",
    "DatasetVersion",
    "Delta",
    "Deployment",
    "Event",
    "File",
    "Kos",
    "KosError",
    "Line",
    "Progress",
    "Record",
    "Run",
    "UnreachableError",
    "sign",
    "webhook_is_genuine",
]
