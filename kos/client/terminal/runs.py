"""``kos runs``, ``kos run ...`` and ``kos queue``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kos.client.rows import Run
from kos.client.terminal import following
from kos.client.terminal.screen import Column, ago, number, pairs, status
from kos.client.terminal.session import Session, command
from kos.client.terminal.values import Start, assign, flatten, read_start, split_pairs

COLUMNS = (
    Column("run", lambda row: row["id"], is_number=True),
    Column("status", lambda row: status(row["status"])),
    Column("kind", lambda row: row["kind"]),
    Column("name", lambda row: row["name"]),
    Column("progress", lambda row: progress_text(row)),
    Column("tags", lambda row: ", ".join(row.get("tags") or ())),
    Column("owner", lambda row: row["owner"]),
    Column("made", lambda row: ago(row["created"])),
)
RUNS = """
kos runs --status running --status queued
kos runs --tag nightly --kind train --limit 5 --json
"""
START = """
kos run start smoke-train -i base=1 -d 1 --follow
kos run start train -c stage1.yaml -s steps=20 -s loss.kind=cispo -i base=3 -d 4
kos run start -c train.yaml -s steps=20
kos run start evaluate -s samples=4 -i base=3 -d 2 --json
"""
EDIT = """
kos run edit 12 --tag nightly --untag draft --note "KL rose after step 40"
kos run edit 13 --priority 1
"""
FOLLOW = """
kos run follow 12
kos run follow 12 --json | jq -r 'select(.kind == "step") | .data.metrics["reward/mean"]'
"""


def add_to(group: click.Group) -> None:
    """Add this room's commands."""
    command(group, "runs", help="List runs, newest first.", examples=RUNS)(list_runs)
    command(group, "queue", help="List what waits, in the order it will start.")(queue)
    run = click.Group("run", help="Start, follow, stop and look at one run.")
    group.add_command(run)
    command(run, "start", help="Start a kind of job, or a preset.", examples=START)(start)
    command(run, "show", help="Show a run and what it kept.")(show)
    command(run, "follow", help="Watch a run until it ends.", examples=FOLLOW)(follow)
    command(run, "log", help="Print the log of a run.")(log)
    command(run, "stop", help="Ask a run to stop; it keeps what it made.")(stop)
    command(run, "resume", help="Queue a failed or stopped run again.")(resume)
    command(run, "clone", help="Start a run like another, with changes.")(clone)
    command(run, "edit", help="Name, tag, note, archive or put first.", examples=EDIT)(edit)
    command(run, "compare", help="Show in what runs differ, and their numbers.")(compare)
    command(run, "metrics", help="Print the numbers of a run by step.")(metrics)


@click.option("--status", "statuses", multiple=True, help="queued, running, done ...; repeatable.")
@click.option("--kind", help="train, evaluate, merge ...")
@click.option("--owner", help="Whose, by user name.")
@click.option("--tag", "tags", multiple=True, help="With this tag; repeatable.")
@click.option("--q", "words", help="With these words in the name or notes.")
@click.option("--dataset", type=int, help="On this dataset version.")
@click.option("--after", metavar="DATE", help="Made on this day or later.")
@click.option("--before", metavar="DATE", help="Made on this day or earlier.")
@click.option("--archived", is_flag=True, help="Archived ones.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
def list_runs(session: Session, statuses: tuple[str, ...], **wanted: Any) -> None:
    """Runs, newest first."""
    found = session.kos.runs.list(
        q=wanted["words"],
        status=[*statuses] or None,
        kind=wanted["kind"],
        owner=wanted["owner"],
        tag=[*wanted["tags"]] or None,
        dataset=wanted["dataset"],
        after=wanted["after"],
        before=wanted["before"],
        archived=wanted["archived"] or None,
        limit=wanted["limit"],
    )
    empty = "No such run. Start one: kos run start PRESET"
    session.screen.rows((run.raw for run in found), COLUMNS, empty=empty)


def queue(session: Session) -> None:
    """What waits."""
    rows = (run.raw for run in session.kos.runs.queue())
    session.screen.rows(rows, COLUMNS, empty="Nothing waits.")


@click.argument("what", metavar="[KIND|PRESET]", default="")
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Knobs, as YAML; or a whole start, as the form's download has it.",
)
@click.option("-s", "--set", "knobs", multiple=True, metavar="KNOB=VALUE", help="One knob.")
@click.option("-i", "--input", "inputs", multiple=True, metavar="NAME=ID", help="An artifact.")
@click.option("-d", "--dataset", type=int, help="Number of a dataset version.")
@click.option("--benchmark", type=int, help="A pipeline's second set to evaluate on.")
@click.option("--name", default="", help="What it is called.")
@click.option("--seed", type=click.IntRange(0))
@click.option("-f", "--follow", "is_followed", is_flag=True, help="Watch it until it ends.")
def start(
    session: Session,
    what: str,
    file: Path | None,
    knobs: tuple[str, ...],
    inputs: tuple[str, ...],
    is_followed: bool,
    **given: Any,
) -> int | None:
    """Start a run."""
    config, about = read_start(file) if file else Start({}, {})
    for knob, value in split_pairs(knobs, "-s"):
        assign(config, knob, value)
    chosen = dict(about.pop("inputs", None) or {})
    for slot, number_of in split_pairs(inputs, "-i"):
        if not isinstance(number_of, int):
            raise click.UsageError(f"-i {slot}={number_of}: the number of an artifact is wanted")
        chosen[slot] = number_of
    named = _what(what, about)
    said = about | {name: value for name, value in given.items() if value not in (None, "")}
    run = session.kos.runs.launch(named, config=config, inputs=chosen, **said)
    return _started(session, run, is_followed=is_followed)


def _what(wanted: str, about: dict[str, Any]) -> str:
    """The kind or preset that was named, there or in the file; the file then has none of it."""
    named = str(about.pop("preset", "") or about.get("kind", ""))
    kind = str(about.pop("kind", ""))
    if wanted and named and wanted not in (named, kind):
        raise click.UsageError(f"the file starts {named}, not {wanted}; name one of them alone")
    if not wanted and not named:
        raise click.UsageError("name a kind of job or a preset, or give a file that does")
    return wanted or named


@click.argument("run", type=int)
def show(session: Session, run: int) -> None:
    """One run."""
    found = session.kos.runs.get(run)
    kept = session.kos.runs.artifacts(run)
    raw = {**found.raw, "artifacts": [one.raw for one in kept]}
    lines: dict[str, Any] = {
        "run": f"{found.id}  {found.name}",
        "status": status(found.status),
        "kind": found.kind,
        "owner": found.owner,
        "made": ago(found.raw["created"]),
        "progress": progress_text(found.raw),
        "tags": ", ".join(found.tags),
        "notes": found.notes,
        "error": found.error,
        "result": pairs(found.result, most=12),
        "kept": "\n      ".join(f"{one.kind} {one.id}  {one.name}" for one in kept),
        "page": f"{session.kos.url}/runs/{found.id}/",
    }
    session.screen.facts(raw, {name: value for name, value in lines.items() if value})


@click.argument("run", type=int)
@click.option("--all", "is_whole", is_flag=True, help="From its first event.")
def follow(session: Session, run: int, is_whole: bool) -> int:
    """Watch a run."""
    found = session.kos.runs.get(run)
    return following.follow(session, found, after=0 if is_whole else found.last_seq)


@click.argument("run", type=int)
@click.option("--after", type=int, default=0, help="Only what was said after this event.")
@click.option("--limit", type=click.IntRange(1), help="At most so many events.")
def log(session: Session, run: int, after: int, limit: int | None) -> None:
    """What a run said."""
    for line in session.kos.runs.log(run, after=after, limit=limit):
        if session.screen.is_json:
            session.screen.data(line.raw)
        else:
            session.screen.plain(f"{line.at:%Y-%m-%d %H:%M:%S} {line.level:7} {line.text}")


@click.argument("run", type=int)
def stop(session: Session, run: int) -> None:
    """Ask it to stop."""
    _tell(session, session.kos.runs.stop(run))


@click.argument("run", type=int)
@click.option("-f", "--follow", "is_followed", is_flag=True, help="Watch it until it ends.")
def resume(session: Session, run: int, is_followed: bool) -> int | None:
    """Queue it again."""
    found = session.kos.runs.resume(run)
    return _started(session, found, is_followed=is_followed, after=found.last_seq)


@click.argument("run", type=int)
@click.option("-s", "--set", "knobs", multiple=True, metavar="KNOB=VALUE", help="One knob.")
@click.option("--name", default="", help="What it is called.")
@click.option("-f", "--follow", "is_followed", is_flag=True, help="Watch it until it ends.")
def clone(
    session: Session, run: int, knobs: tuple[str, ...], name: str, is_followed: bool
) -> int | None:
    """One like it."""
    config: dict[str, Any] = {}
    for knob, value in split_pairs(knobs, "-s"):
        assign(config, knob, value)
    made = session.kos.runs.clone(run, name=name, config=config)
    return _started(session, made, is_followed=is_followed)


@click.argument("run", type=int)
@click.option("--name", help="A new name.")
@click.option("--note", "notes", help="Notes, instead of those it has.")
@click.option("--tag", "more", multiple=True, help="One more tag; repeatable.")
@click.option("--untag", "less", multiple=True, help="A tag to take off; repeatable.")
@click.option("--archive/--unarchive", "is_archived", default=None, help="Out of the list, or in.")
@click.option("--priority", type=int, help="Of a run that waits: higher starts sooner.")
def edit(
    session: Session, run: int, more: tuple[str, ...], less: tuple[str, ...], **given: Any
) -> None:
    """What people say of a run."""
    tags = None
    if more or less:
        had = session.kos.runs.get(run).tags
        tags = [tag for tag in dict.fromkeys([*had, *more]) if tag not in less]
    _tell(session, session.kos.runs.update(run, tags=tags, **given))


@click.argument("runs", type=int, nargs=-1, required=True)
def compare(session: Session, runs: tuple[int, ...]) -> None:
    """Differences of config, then the last value of each number."""
    if len(runs) < 2:
        raise click.UsageError("two runs or more are wanted: kos run compare 12 15")
    found = [session.kos.runs.get(run) for run in runs]
    last = [_last_numbers(session, run) for run in found]
    configs = [flatten(run.config) for run in found]
    knobs = {name: [one.get(name) for one in configs] for one in configs for name in one}
    numbers = {name: [one.get(name) for one in last] for one in last for name in one}
    differing = {name: values for name, values in knobs.items() if len({*map(str, values)}) > 1}
    if session.screen.is_json:
        session.screen.data({"runs": [*runs], "config": differing, "numbers": numbers})
        return
    columns = [
        Column("", lambda row: row["name"]),
        *(
            Column(f"{run.id} {run.name}", lambda row, at=at: number(row["values"][at]), True)  # type: ignore[misc]
            for at, run in enumerate(found)
        ),
    ]
    both = differing | numbers
    rows = ({"name": name, "values": values} for name, values in both.items())
    session.screen.rows(rows, columns, empty="They do not differ.")


@click.argument("run", type=int)
@click.argument("names", nargs=-1)
def metrics(session: Session, run: int, names: tuple[str, ...]) -> None:
    """Numbers by step."""
    found = session.kos.runs.metrics(run, names)
    if session.screen.is_json:
        session.screen.data(found)
        return
    columns = [Column("step", lambda row: row["step"], True)] + [
        Column(name, lambda row, name=name: number(row.get(name)), True)  # type: ignore[misc]
        for name in found
    ]
    rows: dict[int, dict[str, Any]] = {}
    for name, points in found.items():
        for step, value in points:
            rows.setdefault(step, {"step": step})[name] = value
    session.screen.rows(
        (rows[step] for step in sorted(rows)), columns, empty="It has no numbers yet."
    )


def progress_text(row: Mapping[str, Any]) -> str:
    """The latest stage that is not through yet, as ``done/total unit``."""
    parts = [
        (stage, one) for stage, one in (row.get("progress") or {}).items() if one.get("total")
    ]
    if not parts:
        return ""
    stage, one = next((it for it in parts if it[1]["done"] < it[1]["total"]), parts[-1])
    return f"{stage} {number(one['done'])}/{number(one['total'])} {one.get('unit', '')}".rstrip()


def _last_numbers(session: Session, run: Run) -> dict[str, Any]:
    series = session.kos.runs.metrics(run)
    last: dict[str, Any] = {name: points[-1][1] for name, points in series.items() if points}
    closing = {name: value for name, value in run.result.items() if isinstance(value, int | float)}
    return last | closing


def _started(session: Session, run: Run, *, is_followed: bool, after: int = 0) -> int | None:
    if not is_followed:
        _tell(session, run)
        return None
    if not session.screen.is_json:
        session.screen.remark(f"Run {run.id} ({run.name}): {session.kos.url}/runs/{run.id}/")
    return following.follow(session, run, after=after)


def _tell(session: Session, run: Run) -> None:
    if session.screen.is_json:
        session.screen.data(run.raw)
    else:
        session.screen.plain(f"{run.id}\t{run.status}\t{run.name}")
