"""``kos models ...``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from kos.client import rows
from kos.client.terminal.screen import Column, ago, clean, size
from kos.client.terminal.session import Session, command

COLUMNS = (
    Column("model", lambda row: row["id"], is_number=True),
    Column("kind", lambda row: row["kind"]),
    Column("name", lambda row: row["name"]),
    Column("run", lambda row: row["run"], is_number=True),
    Column("size", lambda row: size(row["size_bytes"]), is_number=True),
    Column("made", lambda row: ago(row["created"])),
)
DOWNLOAD = """
kos models download 7 adapters/stage1
"""


def add_to(group: click.Group) -> None:
    """Add this room's commands."""
    models = click.Group("models", help="Bases, adapters, merged and quantised checkpoints.")
    group.add_command(models)
    command(models, "list", help="List what runs kept, newest first.")(list_models)
    command(models, "lineage", help="Show where a model came from and went.")(lineage)
    command(
        models, "download", help="Fetch a model's files, checked by SHA-256.", examples=DOWNLOAD
    )(download)


@click.option("--kind", help="base, adapter, merged, quantised, report ...")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
def list_models(session: Session, kind: str | None, limit: int) -> None:
    """Artifacts."""
    found = session.kos.models.list(kind=kind, limit=limit)
    session.screen.rows((one.raw for one in found), COLUMNS, empty="No model yet.")


@click.argument("model", type=int)
@click.option("--hops", type=click.IntRange(1, 12), default=4, show_default=True)
def lineage(session: Session, model: int, hops: int) -> None:
    """From and to."""
    found = session.kos.models.lineage(model, hops=hops)
    if session.screen.is_json:
        session.screen.data(found)
        return
    for line in lineage_lines(found):
        session.screen.plain(line)


@click.argument("model", type=int)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--anew", is_flag=True, help="Fetch again what an earlier attempt left there.")
def download(session: Session, model: int, folder: Path, anew: bool) -> None:
    """Its files."""
    artifact = session.kos.models.get(model)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=session.screen.err,
        disable=not session.screen.is_live,
    )
    with bars:
        task = bars.add_task(clean(artifact.name), total=artifact.size_bytes or None)

        def move(part: rows.Progress) -> None:
            bars.update(task, completed=part.done, total=part.total)

        path = session.kos.models.download(artifact, folder, resume=not anew, progress=move)
    if session.screen.is_json:
        session.screen.data({"path": str(path), "sha256": artifact.digest})
    else:
        session.screen.plain(f"{path}\tsha256:{artifact.digest}")


def lineage_lines(found: Mapping[str, Any]) -> list[str]:
    """The graph as lines: every edge once, from what was there to what was made of it."""
    names = {
        node["key"]: f"{node['label']} {node['id']} {node['name']}" for node in found["nodes"]
    }
    edges = [(edge["start"], edge["end"]) for edge in found["edges"]]
    lines = [f"{names.get(one, one)}  →  {names.get(two, two)}" for one, two in edges]
    alone = names.keys() - {end for edge in edges for end in edge}
    cut = ["There is more: --hops shows it."] if found.get("is_cut") else []
    return lines + sorted(names[one] for one in alone) + cut
