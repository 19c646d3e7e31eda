"""The gate before serving: a quantised model that lost its training needs a written reason.

The verdict is the export's own, or that of a later survival run which asked the export itself.
A reason is kept where it is given: in the settings of the deploy run, with its owner and time, or
in the change of an alias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.runs.models import Artifact
from kos.config import Deploy, JobConfig
from kos.errors import UserError


def verdict(artifact: Artifact) -> Mapping[str, Any] | None:
    """``passed`` and ``sentences`` of the latest that was measured; None where nothing was."""
    later = Artifact.objects.filter(
        kind=Artifact.Kind.REPORT,
        run__kind="survival",
        run__inputs__name="quantised",
        run__inputs__artifact=artifact,
    )
    for found in (*later, artifact):
        if "gate" in found.summary:
            gate: Mapping[str, Any] = found.summary["gate"]
            return gate
    return None


def require(artifact: Artifact | None, reason: str) -> None:
    """Raise UserError where the gate failed and ``reason`` says nothing."""
    if artifact is None or artifact.kind != Artifact.Kind.QUANTISED or reason.strip():
        return
    found = verdict(artifact)
    if found is not None and not found["passed"]:
        raise UserError(
            f"{artifact} did not pass its gate. {' '.join(found['sentences'])} Give a reason to "
            "serve it all the same, or export it in another format."
        )


def check(config: JobConfig, given: Mapping[str, Artifact]) -> None:
    """Hold what a new run is to serve against its gate."""
    if isinstance(config, Deploy):
        require(given.get("model"), config.reason)
