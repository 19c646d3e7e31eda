"""PostgreSQL's own programs for dumping and restoring, and where they are found."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from psycopg.conninfo import make_conninfo

from kos.errors import UserError
from kosweb import environment
from kosweb.backups.progress import EVERY_SECONDS, Say, in_words
from kosweb.embedded import postgres
from kosweb.supervisor import take_lock

LOOK_SECONDS = 0.05
CONNECT_SECONDS = 5


class Moment(NamedTuple):
    """The database as it was at one moment: a snapshot others can read, and what it holds."""

    snapshot: str
    migrations: list[str]
    artifacts: list[tuple[int, str, str, str]]  # number, name, path, digest
    size_bytes: int


@contextmanager
def answering(say: Say) -> Iterator[None]:
    """The database answers: the embedded one is started for the while if Kos does not run."""
    if settings.DATABASE_URL or _answers():
        yield
        return
    with take_lock(settings.VAR / "up.lock", "a backup or a restore"):
        log = settings.VAR / "log/postgres.log"
        server = postgres.Postgres(settings.VAR, log, binaries=settings.POSTGRES_BIN)
        server.prepare()
        child = server.make()
        child.start()
        try:
            server.wait_ready(child)
            say("PostgreSQL is started for the while")
            yield
        finally:
            connection.close()
            child.stop()


@contextmanager
def moment() -> Iterator[Moment]:
    """One moment of the database, which stays readable while the block lasts."""
    with _connect() as source:
        source.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        source.read_only = True
        if not _rows(source, "select to_regclass('django_migrations')")[0][0]:
            raise UserError("the database has no tables of Kos, so there is nothing to keep")
        yield Moment(
            _rows(source, "select pg_export_snapshot()")[0][0],
            [f"{app}.{name}" for app, name in _rows(source, _MIGRATIONS)],
            _rows(source, _ARTIFACTS),
            _rows(source, "select pg_database_size(current_database())")[0][0],
        )


def dump(target: Path, seen: Moment, say: Say) -> None:
    """Write the database as it was at the moment ``seen`` to ``target``."""
    command = [_program("pg_dump"), "--format=custom", f"--snapshot={seen.snapshot}"]
    # Whose the tables are, and who may, is for the server they are restored on to say.
    command += ["--no-owner", "--no-privileges", "--no-comments", f"--file={target}"]
    of = f"the database, which takes {in_words(seen.size_bytes)}"
    _run([*command, f"--dbname={_conninfo()}"], lambda: _written(target, of), say)


def load(source: Path, say: Say) -> None:
    """Restore the dump ``source`` into the empty database, whole or not at all."""
    command = [_program("pg_restore"), "--single-transaction", "--exit-on-error", "--no-owner"]
    command += ["--no-privileges", f"--dbname={_conninfo()}", str(source)]
    _run(command, lambda: "restoring the database", say)


def num_tables() -> int:
    with _connect() as target:
        return int(_rows(target, _TABLES)[0][0])


def unknown(migrations: list[str]) -> list[str]:
    """Those of ``migrations`` that this Kos does not have."""
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    return [name for name in migrations if name not in known]


def _program(name: str) -> str:
    """One at least as new as the server: an older one refuses to read it."""
    with _connect() as server:
        wanted = server.info.server_version // 10_000
    found = {}
    for folder in postgres.folders(settings.POSTGRES_BIN):
        if (program := folder / name).exists():
            said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            version = re.search(r"(\d+)", said)
            found[program] = int(version[1]) if version else 0
    fitting = [str(program) for program, major in found.items() if major >= wanted]
    if fitting:
        return fitting[0]
    others = ", ".join(f"{program} is of {major}" for program, major in found.items())
    raise UserError(
        f"the server is PostgreSQL {wanted} and no {name} of it was found"
        f" ({others or 'none at all'}): install PostgreSQL's client programs, or name their folder"
        " in KOS_POSTGRES_BIN"
    )


def _run(command: list[str], told: Callable[[], str], say: Say) -> None:
    password = str(connection.settings_dict["PASSWORD"])
    started_with = environment.inherited(**({"PGPASSWORD": password} if password else {}))
    process = subprocess.Popen(command, env=started_with, stderr=subprocess.PIPE, text=True)
    due = time.monotonic() + EVERY_SECONDS
    try:
        while process.poll() is None:
            time.sleep(LOOK_SECONDS)
            if time.monotonic() >= due:
                due = time.monotonic() + EVERY_SECONDS
                say(told())
    finally:
        process.kill()  # at Ctrl-C; one that is through does not mind
        _, complaint = process.communicate()
    if process.returncode != 0:
        # It repeats the connection string, but has never seen the password.
        raise UserError(f"{Path(command[0]).name} failed: {complaint.strip()[-1500:]}")


def _written(target: Path, of: str) -> str:
    done = target.stat().st_size if target.exists() else 0
    return f"{in_words(done)} written of {of} (compressed)"


def _connect() -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(
            _conninfo(),
            password=connection.settings_dict["PASSWORD"] or None,
            connect_timeout=CONNECT_SECONDS,
        )
    except psycopg.OperationalError as error:
        raise UserError(f"the database does not answer ({error}); see DATABASE_URL") from error


def _answers() -> bool:
    try:
        _connect().close()
    except UserError:
        return False
    return True


def _conninfo() -> str:
    """Where the database is, without the password: a command line is for all to read."""
    known = connection.settings_dict
    options = {name: value for name, value in known["OPTIONS"].items() if name != "pool"}
    named = {"dbname": "NAME", "user": "USER", "host": "HOST", "port": "PORT"}
    said = {ours: str(known[theirs]) for ours, theirs in named.items() if known[theirs]}
    return make_conninfo(**said, **options)


def _rows(source: psycopg.Connection[Any], query: str) -> list[Any]:
    return source.execute(query.encode()).fetchall()


_MIGRATIONS = "select app, name from django_migrations order by app, name"
_ARTIFACTS = """
    select id, name, path, digest from runs_artifact where freed is null and path <> '' order by id
"""
_TABLES = """
    select count(*) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where nspname = 'public' and relkind in ('r', 'p')
"""
