from __future__ import annotations

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    name = "apps.deployments"

    def ready(self) -> None:
        """The pages of models learn of deployments."""
        # Models can be imported only now.
        from apps.deployments import kin

        kin.register()
