"""Making a run's row, and the doorbell that tells the workers of it.

The message may be lost or doubled: claiming is a compare-and-set on the row, and the
reconciler rings again for what nobody came for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

from apps.accounts.models import User
from apps.datasets.models import DatasetVersion, LabelSet
from apps.runs import gates
from apps.runs.models import Artifact, Run, RunInput
from kos.config import JOBS, Input, JobConfig
from kos.errors import UserError

logger = logging.getLogger(__name__)

EXECUTE = "workers.tasks.execute"


def create(
    owner: User,
    config: JobConfig,
    *,
    name: str = "",
    inputs: Mapping[str, Artifact] | None = None,
    dataset: DatasetVersion | None = None,
    benchmark: DatasetVersion | None = None,
    labels: LabelSet | None = None,
    seed: int = 0,
    pipeline: Run | None = None,
    stage: str = "",
) -> Run:
    """A queued run with its inputs.

    Raises UserError when the inputs do not fit the job, or must not be served without a reason.
    """
    given = dict(inputs or {})
    sets = {"dataset": dataset, "benchmark": benchmark, "labels": labels}
    _check_inputs(config, given, {name for name, one in sets.items() if one is not None})
    gates.check(config, given)
    with transaction.atomic():
        run = Run.objects.create(
            name=name or type(config).label(),
            kind=config.kind,
            owner=owner,
            config=config.model_dump(mode="json"),
            dataset=dataset,
            benchmark=benchmark,
            label_set=labels,
            seed=seed,
            code_revision=settings.REVISION,
            pipeline=pipeline,
            stage=stage,
        )
        RunInput.objects.bulk_create(
            RunInput(run=run, name=key, artifact=artifact) for key, artifact in given.items()
        )
    return run


def ring(run: Run) -> None:
    """Tell the workers, once the transaction is in, that ``run`` waits for one of them."""
    queue = JOBS[run.kind].queue
    run_id = run.pk
    transaction.on_commit(lambda: _send(run_id, queue))


def _send(run_id: int, queue: str) -> None:
    # By name: the apps do not know the workers' room.
    try:
        current_app.signature(EXECUTE, args=[run_id]).apply_async(queue=queue, retry=False)
    except OperationalError:
        # The row stands; the reconciler rings again.
        logger.warning("run %s waits: the broker does not answer", run_id)


def _check_inputs(config: JobConfig, given: Mapping[str, Artifact], sets: set[str]) -> None:
    present = set(given) | sets
    unknown = present - set(config.inputs)
    if unknown:
        known = ", ".join(config.inputs) or "no inputs"
        raise UserError(
            f"{config.kind} does not take {', '.join(sorted(unknown))}; it takes {known}"
        )
    for name, wanted in config.inputs.items():
        if wanted.is_required and name not in present:
            raise UserError(f"{config.kind} needs {name}: {wanted.help}")
        if name in given:
            _check_kind(name, wanted, given[name])


def _check_kind(name: str, wanted: Input, artifact: Artifact) -> None:
    if artifact.kind not in wanted.kinds:
        choice = " or ".join(wanted.kinds)
        raise UserError(f"{name} is a {artifact.kind} artifact ({artifact}); pick {choice}")
    if artifact.freed is not None:
        raise UserError(f"the files of {artifact} were deleted; pick another one as {name}")
