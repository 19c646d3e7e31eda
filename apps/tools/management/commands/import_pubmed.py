from __future__ import annotations

from apps.tools.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Import PubMed baseline or update files (pubmed26n0001.xml.gz ...)."
    source = "pubmed"
