"""``kos datasets ...``."""

from __future__ import annotations

from pathlib import Path

import click

from kos.client.terminal.screen import Column, ago
from kos.client.terminal.session import Session, command

COLUMNS = (
    Column("version", lambda row: row["id"], is_number=True),
    Column("dataset", lambda row: row["name"]),
    Column("number", lambda row: row["number"], is_number=True),
    Column("prompts", lambda row: row["num_examples"], is_number=True),
    Column("from", lambda row: row["source"]),
    Column("", lambda row: "restricted" if row["is_restricted"] else ""),
    Column("made", lambda row: ago(row["created"])),
)
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
IMPORT = """
kos datasets import prompts.jsonl --name "Discharge letters"
"""


def add_to(group: click.Group) -> None:
    """Add this room's commands."""
    datasets = click.Group("datasets", help="Sets of prompts with rubrics, in versions.")
    group.add_command(datasets)
    command(datasets, "list", help="List versions, newest first.")(list_versions)
    command(datasets, "import", help="Import a file as a new version.", examples=IMPORT)(
        import_file
    )
    command(datasets, "diff", help="Show what changed between two versions.")(diff)
    command(datasets, "export", help="Write a version as JSON lines.")(export)


@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
def list_versions(session: Session, limit: int) -> None:
    """Versions."""
    found = session.kos.datasets.list(limit=limit)
    session.screen.rows(
        (one.raw for one in found), COLUMNS, empty="No dataset yet: kos datasets import FILE"
    )


@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", default="", help="The dataset; the file's name unless given.")
@click.option("--description", default="")
def import_file(session: Session, file: Path, name: str, description: str) -> None:
    """A new version."""
    found = session.kos.datasets.import_file(file, name, description=description)
    version = found.version
    if session.screen.is_json:
        session.screen.data(
            {"version": version.raw, "problems": found.problems, "notices": found.notices}
        )
        return
    for problem in found.problems:
        session.screen.remark(f"line {problem['line']} is left out: {problem['text']}")
    for notice in found.notices:
        session.screen.remark(f"line {notice['line']}: {notice['text']}")
    session.screen.plain(
        f"{version.id}\t{version.name} version {version.number}\t{version.num_examples} prompts"
    )


@click.argument("old", type=int)
@click.argument("new", type=int)
def diff(session: Session, old: int, new: int) -> None:
    """What changed."""
    found = session.kos.datasets.diff(old, new)
    if session.screen.is_json:
        session.screen.data(found)
        return
    counts = ", ".join(f"{found[name]} {name}" for name in ("added", "removed", "changed"))
    session.screen.remark(counts)
    for one in found["items"]:
        fields = ", ".join(field["label"] for field in one.get("fields", ()))
        session.screen.plain(f"{SIGNS[one['kind']]} {one['external_id']}  {fields}".rstrip())


@click.argument("version", type=int)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "form", default="kos", show_default=True, help="kos, healthbench ...")
def export(session: Session, version: int, file: Path, form: str) -> None:
    """A file of it."""
    path = session.kos.datasets.export(version, file, format=form)
    if session.screen.is_json:
        session.screen.data({"path": str(path), "size_bytes": path.stat().st_size})
    else:
        session.screen.plain(str(path))
