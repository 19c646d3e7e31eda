from __future__ import annotations

from django.apps import AppConfig


class TracesConfig(AppConfig):
    name = "apps.traces"

    def ready(self) -> None:
        """The lineage graph and the storage page learn of answers."""
        # Models can be imported only now.
        from apps.traces import kin, upkeep

        kin.register()
        upkeep.register()
