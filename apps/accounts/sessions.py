"""Where a person is signed in. Django keeps sessions as sealed text, so each says whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import User

PLACE = "kos_place"
# Sessions carry no index by user; so many of the newest are looked through.
LOOKED_THROUGH = 5000


class Place(NamedTuple):
    """One signed-in browser. ``name`` stands for its key, which is a secret."""

    name: str
    browser: str
    ip: str
    since: datetime | None
    ends: datetime
    is_current: bool


def mark(request: HttpRequest) -> None:
    """Keep in a fresh session from where it was made, for its owner to recognise."""
    request.session[PLACE] = {
        "browser": browser_of(request.headers.get("User-Agent", "")),
        "ip": request.META.get("REMOTE_ADDR", ""),
        "since": timezone.now().isoformat(),
    }


def of(user: User, *, current: str | None) -> list[Place]:
    """The user's live sessions, this browser's first."""
    places = [_place(row, data, current) for row, data in _rows(user)]
    return sorted(places, key=lambda place: not place.is_current)


def end(user: User, name: str) -> int:
    """End the session called ``name``; 0 when it is not the user's or gone."""
    keys = [row.session_key for row, _data in _rows(user) if _name(row.session_key) == name]
    return Session.objects.filter(session_key__in=keys).delete()[0]


def end_others(user: User, *, current: str | None = None) -> int:
    """End every session but ``current``."""
    keys = [row.session_key for row, _data in _rows(user) if row.session_key != current]
    return Session.objects.filter(session_key__in=keys).delete()[0]


def browser_of(agent: str) -> str:
    """A browser and its system in two words, as people know them."""
    browsers = {"Edg/": "Edge", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {
        "Windows": "Windows",
        "Android": "Android",
        "iPhone": "iPhone",
        "iPad": "iPad",
        "Mac OS": "macOS",
        "Linux": "Linux",
    }
    browser = next((name for mark, name in browsers.items() if mark in agent), "Another program")
    system = next((name for mark, name in systems.items() if mark in agent), "")
    return f"{browser} on {system}" if system else browser


def _rows(user: User) -> Iterator[tuple[Session, dict[str, object]]]:
    live = Session.objects.filter(expire_date__gt=timezone.now()).order_by("-expire_date")
    for row in live[:LOOKED_THROUGH]:
        data = row.get_decoded()
        if str(data.get(SESSION_KEY)) == str(user.pk):
            yield row, data


def _place(row: Session, data: dict[str, object], current: str | None) -> Place:
    kept = data.get(PLACE)
    told: dict[str, str] = kept if isinstance(kept, dict) else {}
    since = told.get("since")
    return Place(
        _name(row.session_key),
        told.get("browser", "A browser"),
        told.get("ip", ""),
        datetime.fromisoformat(since) if since else None,
        row.expire_date,
        row.session_key == current,
    )


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]
