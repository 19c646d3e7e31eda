"""``kos deployments``, ``kos evals``, ``kos search``."""

from __future__ import annotations

import click

from kos.client.terminal.screen import Column, ago, number, plain, status
from kos.client.terminal.session import Session, command

DEPLOYMENTS = (
    Column("deployment", lambda row: row["id"], is_number=True),
    Column("name", lambda row: row["name"]),
    Column("status", lambda row: row["status"]),
    Column("engine", lambda row: row["engine"]),
    Column("dialect", lambda row: row["dialect"]),
    Column("run", lambda row: row["run_id"], is_number=True),
    Column("made", lambda row: ago(row["created"])),
)
EVALS = (
    Column("run", lambda row: row["id"], is_number=True),
    Column("status", lambda row: status(row["status"])),
    Column("name", lambda row: row["name"]),
    Column(
        "scores",
        lambda row: "  ".join(f"{name} {number(one)}" for name, one in row["scores"].items()),
    ),
    Column("made", lambda row: ago(row["created"])),
)
HITS = (
    Column("kind", lambda row: row["kind"]),
    Column("title", lambda row: row["title"]),
    Column("note", lambda row: plain(row.get("note", ""))),
    Column("page", lambda row: row["url"]),
)


def add_to(group: click.Group) -> None:
    """Add this room's commands."""
    command(group, "deployments", help="List models that answer, newest first.")(deployments)
    command(group, "evals", help="List evaluated runs with their scores.")(evals)
    command(group, "search", help="Find runs, models, datasets, answers by words.")(search)


@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
def deployments(session: Session, limit: int) -> None:
    """Deployments."""
    found = session.kos.deployments.list(limit=limit)
    session.screen.rows((one.raw for one in found), DEPLOYMENTS, empty="No model is deployed yet.")


@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
def evals(session: Session, limit: int) -> None:
    """Evaluated runs."""
    found = session.kos.evals.list(limit=limit)
    session.screen.rows((one.raw for one in found), EVALS, empty="Nothing is evaluated yet.")


@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
def search(session: Session, words: tuple[str, ...], limit: int) -> None:
    """Whatever has these words."""
    found = session.kos.search(" ".join(words), limit=limit)
    rows = ({**hit, "url": f"{session.kos.url}{hit['url']}"} for hit in found)
    session.screen.rows(rows, HITS, empty="Nothing has these words.")
