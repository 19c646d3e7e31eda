from django.apps import AppConfig


class ToolsConfig(AppConfig):
    name = "apps.tools"
    default_auto_field = "django.db.models.BigAutoField"
