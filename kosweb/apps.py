"""Joins rooms that must not know each other."""

from __future__ import annotations

from django.apps import AppConfig


class KosConfig(AppConfig):
    name = "kosweb"

    def ready(self) -> None:
        """Answers of the API become traces."""
        # Models can be imported only now.
        from apps.deployments import recording
        from kosweb.joins import keep_api_answer

        recording.use(keep_api_answer)
