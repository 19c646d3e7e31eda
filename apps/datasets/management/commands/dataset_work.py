"""Carry out one piece of work on a dataset. The console starts this; people need not."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.datasets import importing, publishing, repeats, work
from apps.datasets.models import Work
from apps.datasets.work import Do

DO: dict[str, Do] = {
    Work.Kind.READ: importing.do_read,
    Work.Kind.KEEP: importing.do_keep,
    Work.Kind.PUBLISH: publishing.do_publish,
    Work.Kind.REPEATS: repeats.do_find,
}


class Command(BaseCommand):
    help = "Carry out one piece of work on a dataset; the console starts it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("work", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        found = Work.objects.filter(pk=options["work"]).first()
        if found is None:
            raise CommandError(f"there is no work {options['work']}")
        report = work.Report(found)
        try:
            work.carry_out(found, DO[found.kind], report)
        except BaseException:
            # Whatever broke it is in the log; the page must not wait for it any longer.
            Work.objects.filter(pk=found.pk).update(
                status=Work.Status.FAILED, error="The work broke off; its log says why."
            )
            raise
        finally:
            report.close()
