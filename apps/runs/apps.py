from __future__ import annotations

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "apps.runs"

    def ready(self) -> None:
        """The lineage graph learns of runs and artifacts, the storage page of what they pile up."""
        # Models can be imported only now.
        from apps.runs.artifacts import kin
        from apps.runs.storage import folders, rows, stock

        kin.register()
        for kind in (*rows.kinds(), *folders.kinds()):
            stock.add(kind)
