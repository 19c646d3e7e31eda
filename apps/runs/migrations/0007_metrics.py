"""The numbers of old steps become rows, and the rows' key holds all that a chart reads."""

from __future__ import annotations

from typing import Any

from django.db import migrations

# A run's numbers lie apart in the table, as its steps came; in the key they lie together.
COVERING = """
alter table runs_metric
    drop constraint runs_metric_pkey,
    add constraint runs_metric_pkey primary key (run_id, name, step) include (value, at)
"""
PLAIN = """
alter table runs_metric
    drop constraint runs_metric_pkey,
    add constraint runs_metric_pkey primary key (run_id, name, step)
"""
# Only vacuumed rows are read from the key alone.
VACUUM_OFTEN = "alter table runs_metric set (autovacuum_vacuum_insert_scale_factor = 0.02)"
VACUUM_SELDOM = "alter table runs_metric reset (autovacuum_vacuum_insert_scale_factor)"

# The last event of a step has its numbers, as the charts read them before.
FILL = """
with said as (
    select distinct on ((data->>'step')::int) (data->>'step')::int as step, data, at
    from runs_event where run_id = %(run)s and kind = 'step'
    order by (data->>'step')::int, seq desc
)
insert into runs_metric (run_id, name, step, value, at)
select %(run)s, left(metric.key, 120), said.step,
    case when jsonb_typeof(metric.value) = 'number' then (metric.value #>> '{}')::float8 end,
    said.at
from said cross join lateral jsonb_each(said.data->'metrics') as metric
on conflict do nothing
"""


def fill(apps: Any, schema_editor: Any) -> None:
    """One run at a time: a crash on the way loses little, and beginning again is harmless."""
    runs = apps.get_model("runs", "Event").objects.filter(kind="step")
    for run in runs.order_by("run").values_list("run", flat=True).distinct():
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(FILL, {"run": run})


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("runs", "0006_workers")]

    operations = [
        migrations.RunSQL(COVERING, PLAIN),
        migrations.RunSQL(VACUUM_OFTEN, VACUUM_SELDOM),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
