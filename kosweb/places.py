"""Pages and actions by name: what the palette offers beside what it finds, with their keys.

A page that is not there (its URL name leads nowhere) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from django.urls import NoReverseMatch, reverse

from apps.accounts.hits import Hit
from apps.accounts.models import User


class Place(NamedTuple):
    """A page or an action: its words, its address, and who may use it."""

    title: str
    note: str
    name: str
    may: Callable[[User], bool]
    keys: str = ""
    args: tuple[str, ...] = ()
    act: str = ""


def anybody(user: User) -> bool:
    return True


def engineers(user: User) -> bool:
    return user.is_engineer


def reviewers(user: User) -> bool:
    return user.is_reviewer


def readers(user: User) -> bool:
    return user.is_engineer or user.is_reviewer


def admins(user: User) -> bool:
    return user.is_admin


PAGES = (
    Place("Home", "what needs you", "home", anybody, "g h"),
    Place("Runs", "every job", "runs:list", engineers, "g r"),
    Place("Datasets", "prompts with rubrics", "datasets:list", anybody, "g d"),
    Place("Curriculum designer", "length bonuses over steps", "runs:designer", engineers),
    Place("Presets", "kept starts of a form", "runs:presets", engineers),
    Place("Models", "bases, adapters, merged, quantised", "runs:models", engineers, "g m"),
    Place("Lineage", "what came from what", "runs:lineage", engineers, "g l"),
    Place("Deployments", "models that answer", "deployments:list", engineers, "g p"),
    Place("Evaluations", "scores and gates", "evals:list", readers, "g e"),
    Place("Judges", "graders behind an address", "evals:judges", readers),
    Place("Benchmarks", "embedded sets", "evals:benchmarks", readers),
    Place("Playground", "ask a deployed model", "chat:list", anybody, "g c"),
    Place("Traces", "every answer", "traces:list", readers, "g t"),
    Place("Review", "queues of answers", "reviews:list", readers, "g q"),
    Place("Agreement", "reviewers and judges", "reviews:judges", readers, "g a"),
    Place("Queue", "what waits for a worker", "runs:queue", engineers, "g u"),
    Place("Workers", "devices and processes", "runs:workers", engineers, "g w"),
    Place("Tools", "what models may call", "tools:list", readers, "g o"),
    Place("Usage", "tokens that were used", "deployments:usage", anybody),
    Place("API tokens", "for programs", "accounts:tokens", anybody),
    Place("Webhooks", "tell other systems", "automation:webhooks", engineers),
    Place("Storage", "what piles up, and what goes", "runs:storage", admins),
    Place("Members", "people and roles", "accounts:members", admins),
    Place("Audit log", "who did what", "accounts:audit", admins),
    Place("Settings", "theme, density, keys, password", "accounts:settings", anybody, "g s"),
)
ACTIONS = (
    Place("New training run", "CISPO on rubric rewards", "runs:new", engineers, args=("train",)),
    Place("New pipeline", "train to deployment", "runs:new", engineers, args=("pipeline",)),
    Place("New run", "choose its kind", "runs:choose", engineers),
    Place("New evaluation", "score models on a set", "runs:new", engineers, args=("evaluate",)),
    Place("Deploy a model", "serve an artifact", "runs:new", engineers, args=("deploy",)),
    Place("Register a base", "a model to start from", "runs:new", engineers, args=("base",)),
    Place("Import a dataset", "JSONL with rubrics", "datasets:import", engineers),
    Place("New chat", "ask a question", "chat:new", anybody),
    Place("New review queue", "pick answers by a rule", "reviews:new", admins),
    Place("Make an API token", "for a program", "accounts:tokens", anybody),
    Place("Add a member", "an account with a role", "accounts:members", admins),
    Place("Switch to dark", "theme", "accounts:settings", anybody, act="theme:dark"),
    Place("Switch to light", "theme", "accounts:settings", anybody, act="theme:light"),
    Place("Follow the system's theme", "theme", "accounts:settings", anybody, act="theme:system"),
    Place("Keyboard shortcuts", "every key", "accounts:settings", anybody, "?", act="keys"),
)


def pages_for(user: User, words: str = "") -> list[Hit]:
    return [*_hits("Pages", PAGES, user, words)]


def actions_for(user: User, words: str = "") -> list[Hit]:
    return [*_hits("Actions", ACTIONS, user, words)]


def _hits(kind: str, places: tuple[Place, ...], user: User, words: str) -> Iterator[Hit]:
    wanted = words.lower().split()
    for place in places:
        said = f"{place.title} {place.note}".lower()
        if not place.may(user) or not all(word in said for word in wanted):
            continue
        try:
            url = reverse(place.name, args=place.args)
        except NoReverseMatch:
            continue
        yield Hit(kind, place.title, place.note, url, place.act, place.keys)
