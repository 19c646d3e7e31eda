"""What the rest of Kos asks of this room: a desk to call tools from, and keys by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone
from pydantic import BaseModel

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.accounts.sealing import reseal, seal, unseal
from apps.tools.cache import DatabaseCache
from apps.tools.models import Key
from kos.errors import UserError
from kos.tools.corpus import Corpus
from kos.tools.desk import CHAINS, Desk
from kos.tools.net.wire import Wire

# What a tool's source looks for, with what the pages say of it.
KNOWN_KEYS: Mapping[str, str] = {
    "brave": "Brave Search",
    "tavily": "Tavily",
    "exa": "Exa",
    "ncbi": "NCBI E-utilities (PubMed); optional, raises the rate",
    "openfda": "openFDA; optional, raises the daily limit",
    "nhs": "NHS website content API",
    "who_client_id": "WHO ICD API, client id",
    "who_client_secret": "WHO ICD API, client secret",
}
# Where a config may name a key.
KEY_FIELDS = frozenset({"key", "secret"})
MAX_KEY_CHARS = 8000
# Of a short key four characters would give too much away.
MIN_CHARS_TO_SHOW = 12


def open_desk(user: User | None = None) -> Desk:
    """A desk for calls on behalf of ``user``. Reads the database: in an event loop use a thread.

    A user's own key goes before one from the environment, and that before a shared one. The
    first desk of an installation builds the embedded corpus, which takes seconds.
    """
    corpus = open_corpus()
    corpus.prepare()
    return Desk(
        keys=keys_of(user),
        chains={**CHAINS, **{name: tuple(chain) for name, chain in settings.TOOL_CHAINS.items()}},
        is_offline=settings.OFFLINE,
        cache=DatabaseCache(),
        corpus=corpus,
        options=settings.TOOL_OPTIONS,
        owner=str(user.pk) if user else "",
        wire=_wire(),
    )


def open_corpus() -> Corpus:
    """The records on this machine, shared by the whole process."""
    return _corpus(settings.CORPUS)


def keys_of(user: User | None) -> dict[str, str]:
    """Every key that ``user`` may use, by name; without a user, those of everybody."""
    rows = list(Key.objects.usable_by(user))
    shared = {row.name: row for row in rows if row.owner_id is None}
    own = {row.name: row for row in rows if row.owner_id is not None}
    found = {name: unseal(row.ciphertext) for name, row in shared.items()}
    found |= settings.TOOL_KEYS
    return found | {name: unseal(row.ciphertext) for name, row in own.items()}


def secrets_for(config: Any, user: User | None = None) -> dict[str, str]:
    """The keys that a config names in its ``key`` fields, however deep; unknown names are left out.

    A job that asks for one that is missing is told where to add it.
    """
    names = set(_names_in(config))
    if not names:
        return {}
    return {name: value for name, value in keys_of(user).items() if name in names}


def set_key(name: str, text: str, *, by: User | None, owner: User | None = None) -> Key:
    """Keep a key under ``name``, in place of an earlier one; ``owner`` None: for everybody."""
    text = text.strip()
    if not text or len(text) > MAX_KEY_CHARS or not text.isprintable():
        raise UserError(
            f"A key of {len(text)} characters was given; it must be one line of 1 to"
            f" {MAX_KEY_CHARS} printable characters."
        )
    key, is_new = Key.objects.update_or_create(
        name=name,
        owner=owner,
        defaults={
            "ciphertext": seal(text),
            "last_four": text[-4:] if len(text) >= MIN_CHARS_TO_SHOW else "",
            "changed_by": by,
            "changed": timezone.now(),
        },
    )
    audit.note(by, Verb.TOOL_KEY_KEPT, key, title=name, new=is_new, owner=owner or "everybody")
    return key


def delete_key(key: Key) -> None:
    """Forget a key."""
    audit.note(audit.actor(), Verb.TOOL_KEY_FORGOTTEN, key, title=key.name)
    key.delete()


def reseal_keys() -> int:
    """Put every key under the newest encryption key; returns how many."""
    rows = list(Key.objects.all())
    for row in rows:
        row.ciphertext = reseal(row.ciphertext)
        row.save(update_fields=["ciphertext"])
    return len(rows)


@cache
def _wire() -> Wire:
    """Rate limits, breakers and calls in flight hold for the whole process."""
    return Wire()


@cache
def _corpus(folder: Path) -> Corpus:
    return Corpus.open(folder)


def _names_in(config: Any) -> Iterator[str]:
    if isinstance(config, BaseModel):
        config = config.model_dump(mode="json")
    if isinstance(config, Mapping):
        for name, value in config.items():
            if name in KEY_FIELDS and isinstance(value, str) and value:
                yield value
            else:
                yield from _names_in(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _names_in(value)
