from __future__ import annotations

from apps.tools.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Import MedQuAD topics (JSON lines, CC BY 4.0)."
    source = "medquad"
