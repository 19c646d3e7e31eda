"""Searches in name and notes, and every order of the list, go by an index."""

from django.conf import settings
from django.db import migrations, models


# The words of a search stand anywhere in a name: only trigrams find them without reading all.
# A server that has no pg_trgm (it comes with PostgreSQL's contrib) searches all the same, slower;
# this is why the models do not name the index. ``upper`` is what Django's icontains compares.
TRIGRAMS = """
do $$
begin
    if exists (select from pg_available_extensions where name = 'pg_trgm') then
        create extension if not exists pg_trgm;
        create index run_words on runs_run
            using gin (upper(name) gin_trgm_ops, upper(notes) gin_trgm_ops);
        create index artifact_words on runs_artifact using gin (upper(name) gin_trgm_ops);
    end if;
exception when insufficient_privilege then
    raise notice 'pg_trgm may not be created here: searches read every row';
end $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("datasets", "0004_count_examples"),
        ("runs", "0008_pinned_panels"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(TRIGRAMS, "drop index if exists run_words, artifact_words"),
        migrations.RemoveIndex(
            model_name="run",
            name="run_kind",
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["kind", "id"], name="run_kind"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["name", "id"], name="run_name"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["status", "id"], name="run_status_order"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                models.OrderBy(models.F("started"), nulls_last=True),
                models.OrderBy(models.F("id")),
                name="run_started_up",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                models.OrderBy(models.F("started"), descending=True, nulls_last=True),
                models.OrderBy(models.F("id"), descending=True),
                name="run_started_down",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                models.OrderBy(models.F("ended"), nulls_last=True),
                models.OrderBy(models.F("id")),
                name="run_ended_up",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                models.OrderBy(models.F("ended"), descending=True, nulls_last=True),
                models.OrderBy(models.F("id"), descending=True),
                name="run_ended_down",
            ),
        ),
    ]
