"""A worker of the last release may write while the newest tables stand already.

An upgrade migrates first and starts the workers anew after; until then the old ones insert and
update rows without the columns that they do not know. So a new column is nullable or has a
default in the database itself, not only in Python, and nothing they use is taken away.
"""

from __future__ import annotations

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader

# The newest migration of each app in the last release: what is after it is held to the rule.
RELEASED = {
    "accounts": "0005_audit_entries",
    "automation": "0002_webhooks_for_all",
    "chat": "0003_link_old_messages",
    "datasets": "0004_count_examples",
    "deployments": "0002_aliases_and_usage",
    "evals": "0001_initial",
    "reviews": "0001_initial",
    "runs": "0008_pinned_panels",
    "tools": "0001_initial",
    "traces": "0003_quick_lists",
}
TAKES_AWAY = (
    migrations.RemoveField,
    migrations.RenameField,
    migrations.DeleteModel,
    migrations.RenameModel,
    migrations.AlterModelTable,
)


def later_migrations():
    """Every migration of ours that the last release does not have, with its app."""
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if app in RELEASED and name > RELEASED[app]:
            yield migration


def problems(migration):
    """What of ``migration`` would break a worker that does not know it."""
    for operation in migration.operations:
        if isinstance(operation, TAKES_AWAY):
            yield f"{migration} {operation.describe()}: take it away in the release after"
        if isinstance(operation, migrations.AddField) and not survives(operation.field):
            yield f"{migration} {operation.describe()}: give it db_default, or let it be null"


def survives(field):
    """Whether an INSERT that does not name the column goes through."""
    return field.null or field.has_db_default() or field.many_to_many or field.generated


def test_no_newer_migration_breaks_an_older_worker():
    assert [text for one in later_migrations() for text in problems(one)] == []


@pytest.mark.parametrize(
    ("field", "is_kept"),
    [
        (models.IntegerField(default=0), False),
        (models.CharField(max_length=9, blank=True), False),
        (models.IntegerField(db_default=0), True),
        (models.TextField(null=True), True),
    ],
)
def test_a_default_of_python_alone_is_none_to_an_older_worker(field, is_kept):
    assert survives(field) is is_kept


def test_what_is_taken_away_is_named():
    migration = migrations.Migration("0002_gone", "runs")
    migration.operations = [migrations.RemoveField("run", "name")]
    assert "take it away in the release after" in next(problems(migration))
