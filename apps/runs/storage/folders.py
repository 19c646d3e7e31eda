"""Files that pile up: below a run's folder, uploads, written-out datasets, the console's logs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from django.conf import settings
from django.urls import reverse

from apps.runs.models import Run
from apps.runs.storage import needed
from apps.runs.storage.stock import Candidate, Kind, Total, size_of

# Of a log of the console this much stays: the end is what tells why something failed.
LOG_BYTES = 2**20


def kinds() -> Iterator[Kind]:
    parts = {
        "checkpoints": ("Checkpoints", "A training that is done cannot be taken back to a step."),
        "tokens": ("Token logs", "A rollout's tokens and their probabilities are not shown."),
        "logs": ("Logs of runs", "What a job printed is not shown."),
    }
    folders = {"checkpoints": "checkpoint", "tokens": "tokens", "logs": "logs"}
    for name, (label, loss) in parts.items():
        look = partial(_of_runs, folders[name])
        yield Kind(name, label, loss, partial(_sum, f"[0-9]*/{folders[name]}"), look)
    yield Kind(
        "copies",
        "Written-out datasets",
        "Nothing: the next run that needs one writes it again.",
        lambda: _total([*_copies()]),
        partial(_files, _unused_copies),
    )
    yield Kind(
        "uploads",
        "Uploads in preview",
        "Whoever still has a preview open uploads the file again.",
        lambda: _total([*_below(settings.VAR / "uploads")]),
        partial(_files, lambda: _below(settings.VAR / "uploads")),
    )
    yield Kind(
        "console_logs",
        "Logs of the console",
        "All but the last MB of each log.",
        lambda: _total([*_below(settings.VAR / "log")]),
        _long_logs,
    )


def _of_runs(part: str, before: datetime | None) -> Iterator[Candidate]:
    """``part`` of the folders of runs that are settled."""
    there = [int(path.parent.name) for path in _root().glob(f"[0-9]*/{part}")]
    runs = needed.settled().filter(pk__in=there)
    if before is not None:
        runs = runs.filter(ended__lt=before)
    for run in runs.only("name", "ended").order_by("ended", "pk"):
        place = run.folder / part
        yield Candidate(
            name=f"{run.name} (run {run.pk})",
            since=run.ended or datetime.max.replace(tzinfo=UTC),
            size_bytes=size_of(place),
            delete=partial(_drop, run, place),
            url=reverse("runs:detail", args=[run.pk]),
        )


def _drop(run: Run, place: Path) -> int:
    if not needed.settled().filter(pk=run.pk).exists():
        return 0
    return _remove(place)


def _files(look: Callable[[], Iterator[Path]], before: datetime | None) -> Iterator[Candidate]:
    found = sorted((_changed(path), path) for path in look())
    for since, path in found:
        if before is None or since < before:
            yield Candidate(path.name, since, size_of(path), partial(_remove, path))


def _copies() -> Iterator[Path]:
    for sort in ("datasets", "labels"):
        yield from _below(_root() / sort)


def _unused_copies() -> Iterator[Path]:
    active = Run.objects.active().values_list("dataset__digest", "label_set__digest")
    used = {f"{digest}.jsonl" for both in active for digest in both}
    return (path for path in _copies() if path.name not in used)


def _long_logs(before: datetime | None) -> Iterator[Candidate]:
    """They are written to all the time, so only what is too much of them has an age."""
    for since, path in sorted((_changed(path), path) for path in _below(settings.VAR / "log")):
        size = size_of(path) - LOG_BYTES
        if size > 0 and (before is None or since < before):
            yield Candidate(path.name, since, size, partial(_shorten, path))


def _shorten(path: Path) -> int:
    """Leave the end. Its writer appends, so it goes on after what stays."""
    size = path.stat().st_size
    if size <= LOG_BYTES:
        return 0
    with path.open("r+b") as file:
        file.seek(-LOG_BYTES, 2)
        file.readline()
        end = file.read()
        file.seek(0)
        file.truncate()
        file.write(end)
    return size - len(end)


def _remove(place: Path) -> int:
    size = size_of(place)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
    return size


def _sum(pattern: str) -> Total:
    return _total([*_root().glob(pattern)])


def _total(places: list[Path]) -> Total:
    return Total(len(places), sum(map(size_of, places)))


def _below(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.is_file())


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _root() -> Path:
    return Path(settings.ARTIFACTS)
