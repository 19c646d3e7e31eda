"""``manage.py demo``: the console, and in it the whole main job on the sample data."""

from __future__ import annotations

import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from apps.runs.models import Run
from apps.runs.pipelines import StageView
from kos.errors import UserError
from kosweb import demo
from kosweb.supervisor import Supervisor


class Command(BaseCommand):
    help = "Start the console and run the main job once; Ctrl-C stops both."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        try:
            with Supervisor(self.console.print) as self.up:
                self.up.start()
                # The main thread has to watch: children die with the thread that started them.
                threading.Thread(target=self.show, daemon=True).start()
                self.up.watch()
        except UserError as error:
            raise CommandError(str(error)) from error

    def show(self) -> None:
        """Run the demo and say what came of it; the console stays up either way."""
        try:
            self.run_once()
        except UserError as error:
            self.console.print(f"[red]The demo did not finish:[/] {error}")
        except OperationalError:
            if not self.up.is_stopping:
                raise
        finally:
            connection.close()

    def run_once(self) -> None:
        pipeline = demo.find_pipeline()
        if pipeline is None or not pipeline.is_ended:
            pipeline = self.run_pipeline(pipeline)
            self.up.say("the demo is done")
        else:
            self.up.say(f"the demo was done before, as run {pipeline.pk}")
        for report in demo.reports_of(pipeline):
            self.console.print(f"  report    {report}")
        self.console.print(f"  run       {self.up.address}runs/{pipeline.pk}/")
        if self.up.sign_in:
            self.console.print(f"  sign in   {self.up.sign_in}")
        self.console.print(f"Kos is ready at {self.up.address} (Ctrl-C stops it)")

    def run_pipeline(self, pipeline: Run | None) -> Run:
        with Progress(
            TextColumn("{task.description:20}"),
            BarColumn(),
            TextColumn("{task.fields[status]:10}"),
            TimeElapsedColumn(),
            console=self.console,
            refresh_per_second=2,
        ) as progress:
            bars = Bars(progress)
            if not demo.is_chat_up():
                self.start_chat(bars)
            if pipeline is None:
                base = demo.find_base()
                if base is None:
                    bars.follow(demo.launch_base())
                    base = demo.find_base()
                assert base is not None
                pipeline = demo.launch_pipeline(base)
            bars.follow(pipeline)
        return pipeline

    def start_chat(self, bars: Bars) -> None:
        """The playground works before the main job has made its own model."""
        base = demo.find_base(demo.CHAT_BASE)
        if base is None:
            bars.follow(demo.launch_base(demo.CHAT_BASE))
            base = demo.find_base(demo.CHAT_BASE)
        assert base is not None
        demo.launch_chat(base)
        self.console.print(f"  chat      {self.up.address}chat/  (a small model with tools)")


class Bars:
    """One bar a stage."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bars: dict[str, TaskID] = {}

    def follow(self, run: Run) -> None:
        for stages in demo.follow(run):
            for stage in stages:
                self.draw(stage)

    def draw(self, stage: StageView) -> None:
        if stage.name not in self.bars:
            self.bars[stage.name] = self.progress.add_task(stage.name, start=False, status="")
        bar = self.bars[stage.name]
        if stage.status != "waiting" and not self.progress.tasks[bar].started:
            self.progress.start_task(bar)
        done = stage.total if stage.status == "done" else stage.done
        self.progress.update(bar, completed=done, total=stage.total or None, status=stage.status)
