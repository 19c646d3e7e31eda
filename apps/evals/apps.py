from __future__ import annotations

from django.apps import AppConfig


class EvalsConfig(AppConfig):
    name = "apps.evals"

    def ready(self) -> None:
        """The pages of models learn what was measured."""
        # Models can be imported only now.
        from apps.evals import kin

        kin.register()
