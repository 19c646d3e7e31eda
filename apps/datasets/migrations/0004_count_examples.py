"""What versions made before this are counted by, and their examples' hashes."""

from __future__ import annotations

from typing import Any

from django.db import migrations
from django.db.models import Count, Sum

from kos.data.rubrics import RubricTask


def count(apps: Any, editor: Any) -> None:
    Version = apps.get_model("datasets", "DatasetVersion")
    Example = apps.get_model("datasets", "Example")
    for version in Version.objects.annotate(
        num=Count("examples"), items=Sum("examples__num_items")
    ):
        Version.objects.filter(pk=version.pk).update(
            num_examples=version.num, num_items=version.items or 0
        )
    rows = []
    for row in Example.objects.filter(content_hash="").only("task").iterator(chunk_size=500):
        row.content_hash = RubricTask.model_validate(row.task).content_hash()
        rows.append(row)
        if len(rows) == 500:
            Example.objects.bulk_update(rows, ["content_hash"])
            rows = []
    Example.objects.bulk_update(rows, ["content_hash"])


class Migration(migrations.Migration):
    dependencies = [("datasets", "0003_drafts_and_facts")]

    operations = [migrations.RunPython(count, migrations.RunPython.noop)]
