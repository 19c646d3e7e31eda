from __future__ import annotations

from apps.tools.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Import DailyMed labels (dm_spl_release_*.zip, or one label's XML)."
    source = "dailymed"
