from __future__ import annotations

from apps.tools.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Import ClinicalTrials.gov studies (JSON of API v2, or a zip of such)."
    source = "ctgov"
