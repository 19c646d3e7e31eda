"""``kos login``, ``kos logout``, ``kos whoami``, ``kos open``."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import click

from kos.client import settings
from kos.client.kos import Kos
from kos.client.terminal.session import Session, command, epilog

PLACES = {
    "run": "/runs/{}/",
    "model": "/models/{}/",
    "dataset": "/datasets/{}/",
    "deployment": "/deployments/{}/",
    "trace": "/traces/{}/",
    "chat": "/chat/{}/",
}


def add_to(group: click.Group) -> None:
    """Add this room's commands."""
    group.add_command(login)
    group.add_command(logout)
    command(group, "whoami", help="Say who the token belongs to and what it may do.")(whoami)
    command(group, "open", help="Print the address of a page.", examples=OPEN)(open_page)


LOGIN = """
kos login http://127.0.0.1:8000
pass show kos | kos login https://kos.example.org --token-stdin
"""
OPEN = """
kos open 12
kos open 3 --of model
"""


@click.command(epilog=epilog(LOGIN))
@click.argument("url", default="")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
def login(url: str, token_stdin: bool) -> int:
    """Keep an address and a token, in a file that you alone can read."""
    address = settings.find(url)
    if not urlsplit(address.url).netloc:
        raise click.UsageError(f"{address.url!r} is no address; write http://... or https://...")
    if token_stdin:
        token = sys.stdin.readline().strip()
    else:
        click.echo(f"Make a token at {address.url}/tokens/ and paste it here.", err=True)
        token = click.prompt("Token", hide_input=True, err=True).strip()
    with Kos(address.url, token) as kos:
        name = kos.me()["username"]
    path = settings.keep(settings.Address(address.url, token))
    click.echo(f"Signed in to {address.url} as {name}. Kept in {path}.")
    return 0


@click.command()
def logout() -> int:
    """Forget the kept address and token."""
    click.echo("Forgotten." if settings.forget() else "Nothing was kept.")
    return 0


def whoami(session: Session) -> None:
    """Who asks."""
    found = session.kos.me()
    token = found.get("token") or {}
    lines = {
        "console": session.kos.url,
        "name": found["username"],
        "role": found["role"],
        "token": token.get("name", ""),
        "may": ", ".join(found.get("scopes") or ()),
        "until": str(token.get("expires") or "for ever")[:10] if token else "",
    }
    session.screen.facts(
        {"url": session.kos.url, **found},
        {name: value for name, value in lines.items() if value},
    )


@click.argument("number", type=int)
@click.option("--of", "place", type=click.Choice([*PLACES]), default="run", show_default=True)
def open_page(session: Session, number: int, place: str) -> None:
    """The address of a page."""
    address = session.kos.url + PLACES[place].format(number)
    if session.screen.is_json:
        session.screen.data({"url": address})
    else:
        session.screen.plain(address)
