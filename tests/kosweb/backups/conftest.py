from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from psycopg import sql

from kosweb.backups import database

TABLES = "select tablename from pg_tables where schemaname = 'public' order by 1"
HASHED = """
    select count(*), md5(coalesce(string_agg(one, '' order by one), ''))
    from (select md5(t::text) as one from {} t) hashes
"""


@pytest.fixture(scope="module")
def migrated(django_db_setup, django_db_blocker):
    """A database made by the migrations, to copy: the other tests' has no record of them."""
    with django_db_blocker.unblock():
        name, first = made(), connection.settings_dict["NAME"]
        with override_settings(MIGRATION_MODULES={}):
            enter(name)
            call_command("migrate", verbosity=0)
        enter(first)
        yield name
        drop(name)


@pytest.fixture
def console(migrated, django_db_blocker, settings):
    """Kos works on a database of the test's own, with nothing in it but its tables."""
    settings.MIGRATION_MODULES = {}
    with django_db_blocker.unblock():
        name, first = made(migrated), connection.settings_dict["NAME"]
        enter(name)
        yield
        enter(first)
        drop(name)


@pytest.fixture
def move(console, tmp_path, settings):
    """Call it, and Kos works on a database without a table and on a folder without a file."""
    name, first = made(), connection.settings_dict["NAME"]

    def go() -> None:
        enter(name)
        settings.ARTIFACTS = tmp_path / "restored"

    yield go
    enter(first)
    drop(name)


def contents():
    """Every table with its number of rows and a hash over all of them, and every sequence."""
    with database._connect() as source:
        source.execute("set timezone to 'UTC'")
        names = [row[0] for row in source.execute(TABLES.encode())]
        hashed = {name: sql.SQL(HASHED).format(sql.Identifier(name)) for name in names}
        found = {name: source.execute(query).fetchone() for name, query in hashed.items()}
        sequences = "select sequencename, last_value from pg_sequences"
        return found | dict(source.execute(sequences.encode()).fetchall())


def made(template: str = "template0") -> str:
    name = f"backups_{uuid4().hex[:8]}"
    run("create database {} template {}", name, template)
    return name


def drop(name: str) -> None:
    run("drop database {} with (force)", name)


def run(query: str, *names: str) -> None:
    known = connection.settings_dict
    where = {"host": known["HOST"], "user": known["USER"], "dbname": "postgres"}
    with psycopg.connect(**where, autocommit=True) as server:
        server.execute(sql.SQL(query).format(*map(sql.Identifier, names)))


def enter(name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = name
