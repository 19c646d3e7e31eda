"""A token has several scopes; those made before keep the one they had."""

from __future__ import annotations

import django.contrib.postgres.fields
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import apps.accounts.models


def keep_scopes(registry: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    tokens = registry.get_model("accounts", "ApiToken").objects
    for scope in tokens.values_list("scope", flat=True).distinct():
        tokens.filter(scope=scope).update(scopes=[scope])


def keep_first_scope(registry: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Back: what an older Kos knows stays; other tokens would gain rights, so they go."""
    tokens = registry.get_model("accounts", "ApiToken").objects
    for token in tokens.all():
        if len(token.scopes) == 1 and token.scopes[0] in ("all", "models", "tools"):
            token.scope = token.scopes[0]
            token.save(update_fields=["scope"])
        else:
            token.delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_saved_views"),
    ]

    operations = [
        migrations.AddField(
            model_name="apitoken",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("all", "Everything I may do"),
                        ("runs:read", "Runs and models: read"),
                        ("runs:write", "Runs and models: start, stop, change"),
                        ("datasets:read", "Datasets: read"),
                        ("datasets:write", "Datasets: import and change"),
                        ("traces:read", "Traces: read"),
                        ("traces:write", "Traces: flag"),
                        ("evals:read", "Evaluations: read"),
                        ("evals:write", "Evaluations: override verdicts, gate"),
                        ("reviews:read", "Reviews: read"),
                        ("reviews:write", "Reviews: take items and judge"),
                        ("deployments:read", "Deployments: read"),
                        ("deployments:write", "Deployments: start, stop, promote"),
                        ("chat:read", "Conversations: read"),
                        ("chat:write", "Conversations: ask and answer"),
                        ("models", "Asking models at /v1"),
                        ("tools", "Tools, over REST and over MCP at /mcp"),
                        ("account", "My account: tokens, webhooks, search"),
                        ("admin", "Members and limits, for admins"),
                    ],
                    max_length=24,
                ),
                default=apps.accounts.models._everything,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="last_used",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="last_address",
            field=models.CharField(
                blank=True,
                help_text="The network it was last used from, not the machine.",
                max_length=45,
            ),
        ),
        migrations.RunPython(keep_scopes, keep_first_scope),
        migrations.RemoveField(model_name="apitoken", name="scope"),
    ]
