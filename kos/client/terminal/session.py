"""What every command has: the connection, the screen, and the three options they come from."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from kos.client.kos import Kos
from kos.client.terminal.screen import Screen

Body = Callable[..., int | None]
F = TypeVar("F", bound=Body)
DONE, FAILED, USAGE, STOPPED = 0, 1, 2, 130


@dataclass
class Session:
    """Lent to one command while it runs."""

    kos: Kos
    screen: Screen


def command(
    group: click.Group, name: str, *, examples: str = "", **options: Any
) -> Callable[[Body], click.Command]:
    """Make a function ``(session, ...)`` a command of ``group``, with --json, --url, --token.

    What it returns is the exit code; None is 0.
    """

    def decorate(body: Body) -> click.Command:
        @functools.wraps(body)
        def run(*arguments: Any, is_json: bool, url: str, token: str, **given: Any) -> int:
            with Kos(url, token) as kos:
                return body(Session(kos, Screen(is_json=is_json)), *arguments, **given) or DONE

        made = group.command(name, epilog=epilog(examples), **options)(_connected(run))
        return made

    return decorate


def epilog(examples: str) -> str | None:
    """Examples below the options, line by line as they are written."""
    lines = [line.strip() for line in examples.strip().splitlines()]
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines) if lines else None


def _connected(body: Callable[..., int]) -> Callable[..., int]:
    for option in (
        click.option("--token", default="", help="A token instead of the kept one.", hidden=True),
        click.option("--url", default="", metavar="URL", help="Another console than the usual."),
        click.option("--json", "is_json", is_flag=True, help="Answer in JSON, for scripts."),
    ):
        body = option(body)
    return body
