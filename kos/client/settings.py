"""Where Kos is and who asks: arguments, then the environment, then what ``kos login`` kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

LOCAL = "http://127.0.0.1:8000"


class Address(NamedTuple):
    """An address of a console and the token for it; both may be empty."""

    url: str
    token: str


def config_file() -> Path:
    """Where ``kos login`` keeps the address and the token."""
    root = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(root).expanduser() / "kos" / "client.json"


def find(url: str = "", token: str = "") -> Address:
    """The address in use. A kept token goes to the address it was kept for alone."""
    kept = load()
    chosen = (url or os.environ.get("KOS_URL") or kept.url or LOCAL).rstrip("/")
    fallback = kept.token if chosen == kept.url else ""
    return Address(chosen, token or os.environ.get("KOS_TOKEN") or fallback)


def load() -> Address:
    """What was kept; empty where nothing was."""
    try:
        kept = json.loads(config_file().read_text())
    except FileNotFoundError:
        return Address("", "")
    return Address(kept["url"], kept["token"])


def keep(address: Address) -> Path:
    """Keep address and token in a file that its owner alone can read."""
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    # Never readable by others, not for a moment.
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(address._asdict(), file)
    fresh.replace(path)
    return path


def forget() -> bool:
    """Drop what was kept; False when there was nothing."""
    path = config_file()
    is_there = path.exists()
    path.unlink(missing_ok=True)
    return is_there
