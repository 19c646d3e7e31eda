"""Calibration as part of an export: text, calibrator, artifact."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from kos.config import Export
from kos.engine.models import Chat
from kos.errors import UserError
from kos.events import Job, Note, Progress
from kos.weights import calibration, layerwise
from kos.weights.activations import Calibration, own_input_of
from kos.weights.calibrators import ModelOpt
from kos.weights.layerwise import Wanted
from kos.weights.plan_export import Placement, dense_layers
from kos.weights.source import Source


def calibrate(
    config: Export, job: Job, source: Source, placed: Sequence[Placement], folder: Path
) -> Calibration:
    """Run the inputs' text through the model; write the artifact ``folder``, whole or not.

    Raises UserError when there is no text, or when ModelOpt is to load what it cannot.
    """
    began = time.monotonic()
    rows = _rows(config, job, source)
    batches = list(calibration.batches(rows, config.calibrator.batch))
    moments: dict[str, Tensor] = {}
    if isinstance(config.calibrator, ModelOpt):
        found = _by_modelopt(config, job, source, batches)
    else:
        found, moments = layerwise.calibrate(
            source,
            batches,
            job.folder / "checkpoint" / "layers",
            wanted=_wanted(config, placed),
            on_layer=lambda done, total: job.emit(Progress("calibrate", done, total, "layers")),
        )
    found.about = _about(config, rows, batches, time.monotonic() - began)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    found.save(part, moments)
    part.rename(folder)
    # The hidden states have done their work, and they are large.
    shutil.rmtree(job.folder / "checkpoint" / "layers", ignore_errors=True)
    _tell_coverage(job, found)
    return Calibration.load(folder)


def _rows(config: Export, job: Job, source: Source) -> list[list[int]]:
    texts = calibration.read_texts(
        job.inputs,
        samples=config.calibrator.samples,
        seed=job.seed,
        system_prompt=config.system_prompt,
    )
    if not texts:
        raise UserError(
            "the format's activations are calibrated, and there is no text for it: give a "
            "dataset, answers or a calibration, or choose activations that need none"
        )
    chat = Chat.load(source.model.folder)
    return calibration.encode(chat, texts, max_length=config.calibrator.max_tokens)


def _wanted(config: Export, placed: Sequence[Placement]) -> Wanted:
    """Second moments of the inputs of what is quantised, where the format rounds by them."""
    names = [one.tensor.name for one in placed if one.is_quantised]
    has_head = "lm_head.weight" in names
    if config.format.needs != "moments":
        return Wanted(has_head=has_head)
    inputs = {own_input_of(name) for name in names}
    return Wanted(frozenset(inputs), config.format.num_eigenvectors, has_head)


def _by_modelopt(
    config: Export, job: Job, source: Source, batches: Sequence[Tensor]
) -> Calibration:
    # Loads the whole model with transformers: only where it is asked for.
    from kos.weights import whole

    if source.updates or source.model.num_packed or source.model.dropped:
        raise UserError(
            f"modelopt loads the whole model, and {source.model.folder.name} is no plain BF16 text "
            "model; run Merge on it first, or calibrate layer by layer"
        )
    if config.format.needs == "moments":
        raise UserError("modelopt keeps no second moments: calibrate layer by layer")
    done, total = 0, sum(len(batch) for batch in batches)
    job.emit(Progress("calibrate", 0, total, "samples"))

    def on_batch(count: int) -> None:
        nonlocal done
        done += count
        job.emit(Progress("calibrate", done, total, "samples"))

    is_kept = config.format.keep_dense_layers
    return whole.calibrate(
        source.model.folder,
        batches,
        format=config.format,
        dense_layers=dense_layers(source.model.config) if is_kept else (),
        on_batch=on_batch,
    )


def _about(
    config: Export, rows: Sequence[Sequence[int]], batches: Sequence[Tensor], seconds: float
) -> dict[str, Any]:
    return {
        "calibrator": config.calibrator.kind,
        "num_samples": len(rows),
        "num_tokens": sum(len(row) for row in rows),
        "num_batches": len(batches),
        "seconds": round(seconds, 1),
    }


def _tell_coverage(job: Job, found: Calibration) -> None:
    unseen = found.unseen()
    count = sum(map(len, unseen.values()))
    if count:
        layers = sum(bool(experts) for experts in unseen.values())
        job.emit(
            Note(
                f"{count} experts in {layers} layers saw no token: their inputs' scales come "
                "from the others; calibrate on more text",
                level="warning",
            )
        )
    elif unseen:
        job.emit(Note("every routed expert saw tokens"))
