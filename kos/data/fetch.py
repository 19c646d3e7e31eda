"""The base job: fetch or convert a model into a Hugging Face folder."""

from __future__ import annotations

import shutil

from kos.config import ImportBase
from kos.events import Job, Progress, Result, Saved

FOLDER = "base"


def import_base(config: ImportBase, job: Job) -> None:
    """Write the base model to ``job.folder/base`` and say so. Raises UserError."""
    stage = f"import {config.source.kind}"
    job.emit(Progress(stage, 0, 1))
    # Left by an attempt that was interrupted while it wrote.
    shutil.rmtree(job.folder / FOLDER, ignore_errors=True)
    summary = config.source.fetch(job.folder / FOLDER)
    job.emit(Progress(stage, 1, 1))
    job.emit(Saved("base", FOLDER, summary))
    job.emit(Result(summary))
