"""Hostile text in everything that people, models and tools can write, and eyes for what came of it.

Every text column of every model gets it, for pages show what lies there, whichever way it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import F, Func, Value
from django.db.models.functions import Cast, Concat

# It leaves an attribute, a script and a tag, and is a template, a header and a formula.
TEXT = "'\"></script><kos-x kos-y={{7*7}}{%x%}\r\nKos-Z: 1"
LINK = "javascript:alert(1)//" + TEXT
ROOMS = ("accounts", "automation", "chat", "datasets", "deployments", "evals", "reviews", "runs")
# The keys below which JSON has words that somebody said.
WORDS = {"content", "text", "title", "snippet", "note", "said", "reason", "description"}
# What the database or Kos itself decides and no text that came from elsewhere can become.
OURS = {
    "accounts.user.password": "a hash; another one ends the session",
    "deployments.alias.name": "a slug, which stands in its address",
    "evals.judge.url": "read by a schema that takes http and https alone",
    "runs.run.kind": "the name of a job",
    "runs.savedpreset.kind": "the name of a job",
    "tools.key.ciphertext": "sealed",
    "traces.trace.example_id": "the import refuses a line break in it: it stands in an address",
    "tools.mcpserver.command": "names a command of the settings, and is empty beside an address",
}


def columns() -> Iterator[tuple[type[models.Model], models.Field[Any, Any]]]:
    """Every text column that is nobody's key, choice or hash."""
    for model in apps.get_models():
        if model._meta.app_label not in (*ROOMS, "tools", "traces"):
            continue
        for field in model._meta.local_concrete_fields:
            name = f"{model._meta.label_lower}.{field.name}"
            is_text = isinstance(field, models.CharField | models.TextField)
            if is_text and not field.choices and not field.primary_key and name not in OURS:
                yield model, field


def poison() -> list[str]:
    """Write TEXT into every column that takes it; the columns' names."""
    written = []
    for model, field in columns():
        text = LINK if isinstance(field, models.URLField) or field.name == "url" else TEXT
        longest = field.max_length or 500
        # The row's number keeps what must be unique so.
        is_numbered = not isinstance(model._meta.pk, models.CompositePrimaryKey)
        number = Cast(F("pk"), models.TextField()) if is_numbered else Value("")
        value = Func(Concat(number, Value(text)), Value(longest), function="left")
        model._default_manager.update(**{field.name: value})
        written.append(f"{model._meta.label_lower}.{field.name}")
    return written


def poison_json() -> int:
    """The same for words inside of JSON: messages, prompts, rubrics, sources; how many rows."""
    num_written = 0
    for model in apps.get_models():
        fields = [one for one in model._meta.local_fields if isinstance(one, models.JSONField)]
        if model._meta.app_label not in (*ROOMS, "tools", "traces") or not fields:
            continue
        for row in model._default_manager.all():
            for field in fields:
                setattr(row, field.name, _said(getattr(row, field.name)))
            row.save(update_fields=[field.name for field in fields])
            num_written += 1
    return num_written


def _said(value: Any, name: str = "") -> Any:
    match value:
        case dict():
            return {key: _said(one, key) for key, one in value.items()}
        case list():
            return [_said(one, name) for one in value]
        case str() if name in WORDS:
            return TEXT
    return value


class Eyes(HTMLParser):
    """Whether the text became something: a tag, an attribute, an address, a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag.startswith("kos-"):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            plain = "".join((value or "").split()).lower()
            if name.startswith(("kos-", "on")):
                self.found.append(f"{tag} {name}")
            if name in ("href", "src", "action", "formaction", "hx-get", "hx-post") and (
                plain.startswith("javascript:") or "javascript:alert" in plain[:40]
            ):
                self.found.append(f"{tag} {name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)


def harm_in(text: str) -> list[str]:
    """What the hostile text did to a page."""
    eyes = Eyes()
    eyes.feed(text)
    eyes.close()
    if "kos-y=49" in text:
        eyes.found.append("a template was run")
    return eyes.found
