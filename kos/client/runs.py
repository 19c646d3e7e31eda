"""Runs: start, follow, stop, and what they say and keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kos.client import streams
from kos.client.errors import KosError
from kos.client.rows import Artifact, Event, Line, Progress, Record, Run
from kos.client.wire import Wire, read

# A name of one of these is a kind of job; any other is a preset.
KINDS = (
    "base",
    "synthesise",
    "sft",
    "measure",
    "train",
    "select",
    "dpo",
    "critic",
    "average",
    "merge",
    "export",
    "survival",
    "evaluate",
    "calibrate",
    "deploy",
    "remote",
    "pipeline",
)
EVENTS = 2000  # in a page
Target = Run | int
Points = list[tuple[int, float | None]]  # step and value


class Runs:
    """``kos.runs``. Where a run is wanted, its number does as well."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def launch(
        self,
        what: str = "",
        *,
        kind: str = "",
        preset: str = "",
        config: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Artifact | int] | None = None,
        dataset: Any = None,
        benchmark: Any = None,
        labels: int | None = None,
        name: str = "",
        seed: int = 0,
        wait: bool = False,
        progress: Callable[[Progress], object] | None = None,
        key: str = "",
    ) -> Run:
        """Start a job of kind, or from the preset, ``what``; ``config`` goes over its knobs.

        ``inputs`` are artifacts by the names the kind declares, ``dataset`` a dataset version.
        With ``wait`` it comes back when the run has ended, however that was. ``key`` makes a
        start of the caller's own unrepeatable, over restarts of the program too.
        """
        if what:
            kind, preset = (what, preset) if what in KINDS else (kind, what)
        body: dict[str, Any] = {
            "kind": kind,
            "preset": preset,
            "name": name,
            "config": dict(config or {}),
            "inputs": {slot: _id(one) for slot, one in (inputs or {}).items()},
            "dataset": _id(dataset),
            "benchmark": _id(benchmark),
            "labels": labels,
            "seed": seed,
        }
        run = Run.of(self._wire.post("/api/runs/", body, key=key))
        return self.wait(run, progress=progress) if wait else run

    def list(
        self,
        *,
        q: str | None = None,
        status: str | Sequence[str] | None = None,
        kind: str | None = None,
        owner: str | None = None,
        tag: str | Sequence[str] | None = None,
        dataset: int | None = None,
        base: int | None = None,
        after: str | None = None,
        before: str | None = None,
        archived: bool | None = None,
        stages: bool | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Run]:
        """Runs, newest first, at most ``limit``; ``after`` and ``before`` are days, both included.

        A list leaves out ``config``, ``inputs`` and ``result``: ``get`` has them.
        """
        wanted: dict[str, Any] = {
            "q": q,
            "status": status,
            "kind": kind,
            "owner": owner,
            "tag": tag,
            "dataset": dataset,
            "base": base,
            "after": after,
            "before": before,
            "archived": archived,
            "stages": stages,
            "sort": sort,
        }
        for item in self._wire.pages("/api/runs/", limit=limit, **wanted):
            yield Run.of(item)

    def get(self, run: Target) -> Run:
        """The run as it is now."""
        return Run.of(self._wire.get(_path(run)))

    def stop(self, run: Target) -> Run:
        """Ask it to stop; it keeps what it made. One that ended stays as it is."""
        return Run.of(self._wire.post(f"{_path(run)}/stop"))

    def resume(self, run: Target) -> Run:
        """Queue a failed or stopped run again; it goes on from its checkpoint."""
        return Run.of(self._wire.post(f"{_path(run)}/resume"))

    def clone(
        self,
        run: Target,
        *,
        name: str = "",
        config: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Artifact | int] | None = None,
        dataset: Any = None,
        seed: int | None = None,
    ) -> Run:
        """Start a run like this one; what is given goes over what it had."""
        body = {
            "name": name,
            "config": dict(config or {}),
            "inputs": {slot: _id(one) for slot, one in (inputs or {}).items()},
            "dataset": _id(dataset),
            "seed": seed,
        }
        return Run.of(self._wire.post(f"{_path(run)}/clone", body))

    def update(
        self,
        run: Target,
        *,
        name: str | None = None,
        notes: str | None = None,
        tags: Sequence[str] | None = None,
        is_archived: bool | None = None,
        priority: int | None = None,
    ) -> Run:
        """Change what is given; ``tags`` are all it shall have."""
        wanted = {
            "name": name,
            "notes": notes,
            "tags": None if tags is None else [*tags],
            "is_archived": is_archived,
            "priority": priority,
        }
        body = {field: value for field, value in wanted.items() if value is not None}
        return Run.of(read(self._wire.send("PATCH", _path(run), json=body)))

    def validate(self, what: str, **given: Any) -> dict[str, Any]:
        """What ``launch`` with the same arguments would start, and its estimated cost."""
        chosen = {"kind": what} if what in KINDS else {"preset": what}
        found: dict[str, Any] = self._wire.post("/api/runs/validate", {**chosen, **given})
        return found

    def presets(self, *, kind: str | None = None) -> Sequence[Record]:
        """Where one can start from: ``preset["name"]`` is what ``launch`` takes."""
        return [Record.of(one) for one in self._wire.pages("/api/runs/presets", kind=kind)]

    def events(self, run: Target, *, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """What the run said after event ``after``, as far as it got."""
        path = f"{_path(run)}/events"
        for item in self._wire.pages(path, limit=limit, most=EVENTS, after=after):
            yield _event(item)

    def stream(self, run: Target, *, after: int = 0) -> Iterator[Event]:
        """What the run says after event ``after``, as it says it, until it has ended.

        A broken connection is opened again where it broke: no event is lost or told twice.
        """
        for message, data in streams.follow(self._wire, f"{_path(run)}/stream", after=after):
            if message.event != streams.END:
                yield _event(data)

    def wait(self, run: Target, *, progress: Callable[[Progress], object] | None = None) -> Run:
        """The run once it has ended; ``progress`` is called for whatever moves."""
        for event in self.stream(run):
            if progress is not None and (part := progress_of(event)):
                progress(part)
        return self.get(run)

    def metrics(
        self, run: Target, names: Sequence[str] = (), *, points: int | None = None
    ) -> dict[str, Points]:
        """Step and value by metric name; all metrics unless ``names`` are given."""
        found = self._wire.get(f"{_path(run)}/metrics", name=[*names] or None, points=points)
        return {
            name: [
                (int(step), value) for step, value in zip(one["steps"], one["values"], strict=True)
            ]
            for name, one in found["series"].items()
        }

    def log(self, run: Target, *, after: int = 0, limit: int | None = None) -> Iterator[Line]:
        """The lines of its log, oldest first."""
        path = f"{_path(run)}/log"
        for item in self._wire.pages(path, limit=limit, most=EVENTS, after=after):
            yield Line.of({"id": item["seq"], **item})

    def compare(self, runs: Sequence[Target], *, all_knobs: bool = False) -> dict[str, Any]:
        """Two to six runs side by side: knobs that differ, last numbers, what they came to."""
        found: dict[str, Any] = self._wire.get(
            "/api/runs/compare", ids=[_id(run) for run in runs], all=all_knobs or None
        )
        return found

    def preview(
        self, kind: str, inputs: Mapping[str, Artifact | int], config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Which tensors an export or a merge would change, and what the result weighs."""
        chosen = {slot: _id(one) for slot, one in inputs.items()}
        body = {"kind": kind, "config": dict(config), "inputs": chosen}
        found: dict[str, Any] = self._wire.post("/api/runs/preview", body)["plan"]
        return found

    def artifacts(self, run: Target) -> Sequence[Artifact]:
        """What the run, or a stage of it, kept."""
        return [Artifact.of(one) for one in self._wire.pages(f"{_path(run)}/artifacts")]

    def queue(self) -> Sequence[Run]:
        """The runs that wait, in the order in which they will start."""
        return [Run.of(one) for one in self._wire.pages("/api/runs/queue")]


def progress_of(event: Event) -> Progress | None:
    """How far a stage is, where the event says so."""
    if event.kind not in ("progress", "stage") or "done" not in event.data:
        return None
    data = event.data
    return Progress(
        str(data.get("stage", "")),
        float(data["done"]),
        float(data.get("total") or 0),
        str(data.get("unit", "")),
    )


def _event(data: Mapping[str, Any]) -> Event:
    return Event.of({"id": data.get("seq", 0), **data})


def _path(run: Target) -> str:
    if not _id(run):
        raise KosError(0, "No such run", f"{run!r} is not a run")
    return f"/api/runs/{_id(run)}"


def _id(one: Any) -> Any:
    return getattr(one, "id", one)
