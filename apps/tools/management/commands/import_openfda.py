from __future__ import annotations

from apps.tools.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Import openFDA drug labels (drug-label-0001-of-0013.json.zip ...)."
    source = "openfda"
