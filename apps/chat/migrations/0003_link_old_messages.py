"""Messages of before branches: each follows the one before it, and the last one is shown."""

from __future__ import annotations

from django.db import migrations


def link(apps, schema_editor):
    Conversation = apps.get_model("chat", "Conversation")
    ChatMessage = apps.get_model("chat", "ChatMessage")
    for conversation in Conversation.objects.filter(leaf=None).iterator():
        before = None
        for message in ChatMessage.objects.filter(conversation=conversation).order_by("pk"):
            answered_by = conversation.deployment_id if message.role == "assistant" else None
            ChatMessage.objects.filter(pk=message.pk).update(
                parent=before, deployment_id=answered_by
            )
            before = message
        Conversation.objects.filter(pk=conversation.pk).update(leaf=before)


class Migration(migrations.Migration):
    dependencies = [("chat", "0002_branches_and_shares")]
    operations = [migrations.RunPython(link, migrations.RunPython.noop)]
