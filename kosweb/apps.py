"""Joins rooms that must not know each other."""

from __future__ import annotations

from django.apps import AppConfig


class KosConfig(AppConfig):
    name = "kosweb"

    def ready(self) -> None:
        """Answers of the API become traces, and the process is traced where that is asked for."""
        # Models can be imported only now.
        from apps.deployments import recording
        from kosweb import tracing
        from kosweb.joins import keep_api_answer

        recording.use(keep_api_answer)
        tracing.start()
