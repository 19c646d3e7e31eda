"""Every page of this console with something on it, found by walking the URL map.

Screenshots and the tests of accessibility open what this finds, so no new page is forgotten.
An address with a number gets that of a thing there is; without one the page is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.db.models import F, Model, QuerySet
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.accounts.models import User
from apps.automation.models import Webhook
from apps.chat.models import Conversation, Pairing
from apps.datasets.models import Dataset, DatasetVersion, DraftVersion, Example, LabelSet, Work
from apps.deployments.models import Alias, Comparison, Deployment
from apps.evals import reports
from apps.evals.models import Judge
from apps.reviews.models import Item, Queue
from apps.runs.models import Artifact, Run
from apps.traces.models import Trace
from kosweb.questions import evaluations, query_of

# Programs' addresses, and Django's own pages.
NOT_OURS = ("api/", "v1/", "admin/", "mcp", "metrics", "healthz", "readyz", "favicon.ico")
HEAVY = ("archive", "download", "export", "json", "csv")
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")

Things = Callable[[User], QuerySet[Any] | list[Any]]


class Found(NamedTuple):
    """A page: its URL name and an address that shows something."""

    name: str
    path: str


# What stands at an address, by how its pattern begins; the first that fits counts.
THINGS: tuple[tuple[str, Things], ...] = (
    ("runs/new/", lambda user: ["train"]),
    ("runs/<int:pk>/steps", lambda user: _traced()),
    ("runs/", lambda user: Run.objects.filter(kind="train")),
    ("models/", lambda user: Artifact.objects.filter(kind__in=["merged", "adapter", "base"])),
    ("datasets/examples", lambda user: Example.objects.order_by("-pk")),
    ("datasets/drafts", lambda user: DraftVersion.objects.order_by("-pk")),
    ("datasets/work", lambda user: Work.objects.filter(by=user, status="done").order_by("-pk")),
    ("datasets/sets", lambda user: Dataset.objects.order_by("-pk")),
    ("datasets/<int:old>/diff", lambda user: _changed()),
    ("datasets/labels", lambda user: LabelSet.objects.all()),
    ("datasets/", lambda user: DatasetVersion.objects.filter(is_restricted=False)),
    ("deployments/compare", lambda user: Comparison.objects.all()),
    ("deployments/aliases", lambda user: Alias.objects.values_list("name", flat=True)),
    ("deployments/", lambda user: Deployment.objects.all()),
    ("traces/run", lambda user: _traced()),
    ("traces/curriculum", lambda user: ["train"]),
    ("traces/", lambda user: Trace.objects.filter(is_restricted=False).order_by("-pk")),
    ("evals/run", lambda user: evaluations()),
    ("evals/judges", lambda user: Judge.objects.all()),
    ("evals/", lambda user: reports.visible_to(user)),
    ("webhooks/", lambda user: Webhook.objects.filter(owner=user)),
    ("review/judges", lambda user: Judge.objects.all()),
    ("review/<int:pk>/<int:item_pk>/settle", lambda user: _disputed()),
    ("review/", lambda user: Queue.objects.visible_to(user).order_by("-pk")),
    ("chat/pairs", lambda user: Pairing.objects.filter(owner=user)),
    ("chat/", lambda user: Conversation.objects.visible_to(user)),
    ("tools/", lambda user: ["search_icd"]),
)


def pages(user: User) -> list[Found]:
    """Each page that ``user`` gets, once, in the order of the URL map."""
    browser = Client(SERVER_NAME="127.0.0.1")
    browser.force_login(user)
    return [found for found in addresses(user) if _is_page(browser, found.path)]


def addresses(user: User) -> Iterator[Found]:
    """Each address that could be a page, its numbers filled in."""
    seen = set()
    for name, route in _routes(get_resolver().url_patterns, "", ""):
        path = _filled(user, route)
        if name and path is not None and name not in seen:
            seen.add(name)
            yield Found(name, f"{path}{query_of(name, user)}")


def _routes(patterns: list[Any], prefix: str, space: str) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if route.startswith(NOT_OURS):
            continue
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else space
            yield from _routes(pattern.url_patterns, route, inner)
        elif isinstance(pattern, URLPattern) and "^" not in route:
            yield f"{space}{pattern.name}", route


def _filled(user: User, route: str) -> str | None:
    names = PARAMETER.findall(route)
    if not names:
        return f"/{route}"
    things = next((found for start, found in THINGS if route.startswith(start)), None)
    thing = _first(things(user)) if things is not None else None
    values = _values(thing, names, route) if thing is not None else None
    if values is None:
        return None
    for name in names:
        route = re.sub(rf"<(?:\w+:)?{name}>", str(values[name]), route)
    return f"/{route}"


def _first(things: QuerySet[Any] | list[Any]) -> Any:
    return next(iter(things[:1]), None)


def _values(thing: Any, names: list[str], route: str) -> dict[str, Any] | None:
    """A value for each name of an address, by the thing that it is about."""
    own = thing.pk if isinstance(thing, Model) else thing
    values = {names[0]: own}
    for name in names[1:]:
        value = _beside(thing, name, route)
        if value is None:
            return None
        values[name] = value
    return values


def _beside(thing: Any, name: str, route: str) -> Any:
    """What else an address names: the item of a queue, the step or example of a run."""
    if isinstance(thing, Queue) and name == "item_pk":
        status = Item.Status.DISPUTED if "settle" in route else Item.Status.OPEN
        return Item.objects.filter(queue=thing, status=status).values_list("pk", flat=True).first()
    if isinstance(thing, DatasetVersion) and name == "new":
        later = DatasetVersion.objects.filter(dataset=thing.dataset_id, number__gt=thing.number)
        return later.values_list("pk", flat=True).first()
    if isinstance(thing, Run) and name in ("step", "example_id"):
        column = "step" if name == "step" else "example_id"
        return Trace.objects.filter(run=thing).values_list(column, flat=True).first()
    if isinstance(thing, Run) and name in ("trace", "trace_pk"):
        return Trace.objects.filter(run=thing).values_list("pk", flat=True).first()
    return None


def _traced() -> QuerySet[Run]:
    """Training runs whose answers are there."""
    return Run.objects.filter(traces__origin="rollout").order_by("-pk").distinct()


def _changed() -> QuerySet[DatasetVersion]:
    """Versions that a later one of the same dataset follows."""
    return DatasetVersion.objects.filter(dataset__versions__number__gt=F("number")).distinct()


def _disputed() -> QuerySet[Queue]:
    return Queue.objects.filter(items__status=Item.Status.DISPUTED).distinct()


def _is_page(browser: Client, path: str) -> bool:
    """Whether a visit brings a whole page: not a fragment, a file, or an address for forms."""
    if any(word in path for word in HEAVY):
        return False
    answer = browser.get(path)
    is_html = answer.headers.get("Content-Type", "").startswith("text/html")
    is_file = "Content-Disposition" in answer.headers
    return not is_file and answer.status_code == 200 and is_html and b"</html>" in answer.content
