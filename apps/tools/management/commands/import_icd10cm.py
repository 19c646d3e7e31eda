from __future__ import annotations

from apps.tools.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Import a release of ICD-10-CM (tabular XML, alone or zipped) in place of the embedded one."
    source = "icd10cm"
