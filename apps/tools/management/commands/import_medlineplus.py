from __future__ import annotations

from apps.tools.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Import MedlinePlus health topics (mplus_topics_compressed_DATE.zip)."
    source = "medlineplus"
