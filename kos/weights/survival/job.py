"""The survival job: weights first, then answers, format by format; each kept once it is done."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from kos.config.survival import Survival
from kos.data.prompts import conversation
from kos.data.readers import read_file
from kos.data.rubrics import RubricTask
from kos.engine.models import Chat
from kos.errors import UserError
from kos.events import Job, Note, Progress, Result, Saved
from kos.weights import calibration, layerwise, models, shards
from kos.weights.activations import Calibration, own_input_of
from kos.weights.calibration import Text
from kos.weights.formats.base import Activations, ExportFormat
from kos.weights.layerwise import Wanted
from kos.weights.lora import Adapter
from kos.weights.plan import plan_updates
from kos.weights.source import Source
from kos.weights.survival import advice, asking
from kos.weights.survival.gate import gate
from kos.weights.survival.measure import measure
from kos.weights.survival.sampling import layer_of, sample
from kos.weights.text import Checkpoint, kind_of

FILE = "survival.json"
PART = "survival.part.json"
BATCH = 4


def survive(config: Survival, job: Job) -> None:
    """Write ``survival.json`` and say it. Raises UserError when nothing can be measured."""
    source = open_source(job.inputs["base"], job.inputs["adapter"])
    report = _begun(job)
    seen = _calibration(config, job, source)
    formats = _usable(config, job, source, seen)
    if "formats" not in report:
        report |= _weights(config, job, source, formats, seen)
        _keep(job, report)
    _answers(config, job, source, formats, seen, report)
    lines: list[dict[str, Any]] = report["formats"]
    for line in [*lines, *filter(None, [report.get("export")])]:
        line["gate"] = gate(line).to_json()
    report["advice"] = advice.recommend(lines, is_int4=source.model.num_packed > 0).to_json()
    shards.write_json(job.folder / FILE, report)
    _said(job, report)


def open_source(base: Path, adapter: Path) -> Source:
    """The base with the adapter's change; raises UserError where they do not fit."""
    checkpoint = Checkpoint(base)
    return Source(checkpoint, plan_updates(checkpoint, Adapter(adapter)))


def _begun(job: Job) -> dict[str, Any]:
    path = job.folder / PART
    return dict(shards.read_json(path)) if path.exists() else {}


def _keep(job: Job, report: Mapping[str, Any]) -> None:
    shards.write_json(job.folder / PART, report)


def _calibration(config: Survival, job: Job, source: Source) -> Calibration | None:
    """Second moments of the inputs, where a format rounds by them and there is text."""
    wanted = [format for format in config.formats if format.needs == "moments"]
    if "calibration" in job.inputs:
        return Calibration.load(job.inputs["calibration"])
    if not wanted or "dataset" not in job.inputs:
        return None
    folder = job.folder / "calibration"
    if not folder.exists():
        _calibrate(config, job, source, wanted, folder)
    return Calibration.load(folder)


def _calibrate(
    config: Survival, job: Job, source: Source, wanted: Sequence[ExportFormat], folder: Path
) -> None:
    names = {
        own_input_of(name) for format in wanted for name in models.quantised_by(source, format)
    }
    count = max(getattr(format, "num_eigenvectors", 0) for format in wanted)
    batches = list(calibration.batches(_rows(config, job, source), BATCH))
    work = job.folder / "checkpoint" / "layers"
    found, moments = layerwise.calibrate(
        source,
        batches,
        work,
        wanted=Wanted(frozenset(names), count),
        on_layer=lambda done, total: job.emit(Progress("calibrate", done, total, "layers")),
    )
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    found.save(part, moments)
    part.rename(folder)
    shutil.rmtree(work, ignore_errors=True)


def _rows(config: Survival, job: Job, source: Source) -> list[list[int]]:
    tasks = [task for task in read_file(job.inputs["dataset"]).tasks if task.split == "train"]
    if not tasks:
        raise UserError("the dataset has no training split to calibrate on: mark some rows train")
    texts = [
        Text(conversation(task, config.system_prompt), task.reference or "")
        for task in tasks[: config.calibration_samples]
    ]
    chat = Chat.load(source.model.folder)
    return calibration.encode(chat, texts, max_length=config.max_tokens)


def _usable(
    config: Survival, job: Job, source: Source, seen: Calibration | None
) -> list[ExportFormat]:
    """The formats that this base and this calibration allow; the others are told."""
    usable: list[ExportFormat] = []
    for format in config.formats:
        why = ""
        if format.needs == "moments" and seen is None:
            why = "it needs what calibration sees: give a dataset or a calibration"
        elif format.kind != "bf16" and not models.quantised_by(source, format):
            why = _why_none(source, format)
        if why:
            job.emit(Note(f"Left out {format.label()}: {why}."))
        else:
            usable.append(format)
    if not usable:
        raise UserError("none of the formats can be measured on this base; choose others")
    return usable


def _why_none(source: Source, format: ExportFormat) -> str:
    if format.from_codes and not source.model.num_packed:
        return "the base is not packed INT4; requantise_base rounds it to INT4 first"
    return "its patterns name no weight of this base that it can store"


def _weights(
    config: Survival,
    job: Job,
    source: Source,
    formats: Sequence[ExportFormat],
    seen: Calibration | None,
) -> dict[str, Any]:
    """What the formats keep, on a sample of what the adapter changes and any of them quantises."""
    takes = [{*models.quantised_by(source, format)} for format in formats]
    quantised = set().union(*takes)
    changed = [name for name in source.updates if name in quantised]
    if not changed:
        raise UserError("the adapter changes no weight that any of the formats would quantise")
    names = sample(changed, experts=config.experts, layers=config.layers)
    activations = activations_of(names, seen)
    targets = (
        source.target(name, seed=job.seed, activations=activations.get(name)) for name in names
    )
    lines = measure(
        targets,
        formats,
        # BF16 quantises nothing and rounds everything.
        takes=[
            {*names} if format.kind == "bf16" else took
            for format, took in zip(formats, takes, strict=True)
        ],
        on_weight=lambda done: job.emit(Progress("weights", done, len(names), "weights")),
    )
    told = {
        "num_measured": len(names),
        "num_changed": len(changed),
        "experts": config.experts,
        "kinds": sorted({kind_of(name) for name in names}),
        "layers": sorted({layer_of(name) for name in names}),
    }
    return {"sample": told, "formats": lines, "is_int4": source.model.num_packed > 0}


def activations_of(names: Sequence[str], seen: Calibration | None) -> dict[str, Activations]:
    """What is known of the inputs of ``names``; empty without a calibration."""
    found = {} if seen is None else {name: seen.of(name) for name in names}
    return {name: one for name, one in found.items() if one is not None}


def _answers(
    config: Survival,
    job: Job,
    source: Source,
    formats: Sequence[ExportFormat],
    seen: Calibration | None,
    report: dict[str, Any],
) -> None:
    """Ask base, ideal and every format, where there is a dataset and the model is not too large."""
    size = sum(4 * prod(weight.shape) for weight in source.model.values())
    if "dataset" not in job.inputs or not config.prompts:
        return
    if size > config.largest_gb * 1e9:
        text = (
            f"The answers were not compared: the model takes {size / 1e9:.0f} GB in float32, more "
            f"than largest_gb ({config.largest_gb:g}). Evaluate its deployments instead."
        )
        job.emit(Note(text, level="warning"))
        return
    held = held_out(job.inputs["dataset"])
    asked = asking.Asking.open(config, job, source, held)
    for line, format in zip(report["formats"], formats, strict=True):
        if "behaviour" not in line:
            line["behaviour"] = asked.format(format, seen)
            _keep(job, report)
    if "quantised" in job.inputs and "export" not in report:
        report["export"] = asked.folder(job.inputs["quantised"])
    report["ideal"] = asked.ideal_numbers()


def held_out(dataset: Path) -> list[RubricTask]:
    """The test and validation rows, which no training saw."""
    return [task for task in read_file(dataset).tasks if task.split != "train"]


def _said(job: Job, report: Mapping[str, Any]) -> None:
    found = report["advice"]
    headline = {
        line["kind"]: {
            "slope": line["all"].get("slope"),
            "gate": line["gate"]["passed"],
            "gain_kept": _mean(line, "gain_kept"),
            "kl": _mean(line, "kl"),
        }
        for line in report["formats"]
    }
    summary = {"advice": found["label"], "formats": headline, **_export_gate(report)}
    job.emit(Saved("report", FILE, summary))
    job.emit(Note(" ".join(found["sentences"])))
    job.emit(Result(summary))


def _export_gate(report: Mapping[str, Any]) -> dict[str, Any]:
    return {"gate": report["export"]["gate"]} if "export" in report else {}


def _mean(line: Mapping[str, Any], name: str) -> float | None:
    found = (line.get("behaviour") or {}).get(name)
    return None if found is None else float(found["mean"])
