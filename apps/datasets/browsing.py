"""Reading datasets page by page: what fits the filters, without counting a large table.

A page of examples is a stretch of positions, so the last page of 100,000 costs what the first
does. How many fit is counted up to ``COUNTED`` and said as "more than" beyond.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib.postgres.search import SearchQuery
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery

from apps.accounts.guards import PageRequest
from apps.datasets.models import Dataset, DatasetVersion, DraftVersion, Example
from kos.data.rubrics import RubricTask

PAGE_SIZE = 50
COUNTED = 1000
SNIPPET = 130
# A phrase in quotes, or a word; a minus before either leaves out what has it.
TERM = re.compile(r'(-?)(?:"([^"]+)"|(\S+))')
WORD = re.compile(r"\w+")
SORTS = {
    "": ("Newest first", "-latest_at"),
    "name": ("Name", "name"),
    "prompts": ("Most prompts", "-num_examples"),
    "items": ("Most items", "-num_items"),
}


class Page(NamedTuple):
    """Examples in their order; ``num`` of them fit the filters, or more where ``is_more``."""

    examples: Sequence[Example]
    num: int
    is_more: bool
    previous: int | None
    next: int | None


def datasets(words: str = "", sort: str = "", *, shown: str = "") -> QuerySet[Dataset]:
    """Datasets whose name or description has the words, with their latest version's numbers.

    ``shown`` narrows to "restricted" or "demonstration" sets, or those with a "draft".
    """
    latest = DatasetVersion.objects.filter(dataset=OuterRef("pk")).order_by("-number")
    columns = ("pk", "num_examples", "num_items", "created", "is_restricted", "is_demonstration")
    names = ("latest_pk", "num_examples", "num_items", "latest_at", "restricted", "demonstration")
    found = Dataset.objects.annotate(
        **{
            name: Subquery(latest.values(column)[:1])
            for name, column in zip(names, columns, strict=True)
        }
    )
    for word in words.split():
        found = found.filter(Q(name__icontains=word) | Q(description__icontains=word))
    if shown in ("restricted", "demonstration"):
        found = found.filter(**{shown: True})
    if shown == "draft":
        found = found.filter(drafts__status="open").distinct()
    order = SORTS.get(sort, SORTS[""])[1]
    by = F(order.removeprefix("-"))
    ordered = by.desc(nulls_last=True) if order.startswith("-") else by.asc(nulls_last=True)
    return found.order_by(ordered, "-pk")


def latest_of(datasets: Sequence[Any]) -> dict[int, DatasetVersion]:
    """The latest version of each dataset of a page, by dataset."""
    keys = [dataset.latest_pk for dataset in datasets if dataset.latest_pk]
    return {version.dataset_id: version for version in DatasetVersion.objects.filter(pk__in=keys)}


def used_by(datasets: Sequence[Dataset]) -> dict[int, int]:
    """How many runs used any version of each dataset, by dataset."""
    versions = DatasetVersion.objects.filter(dataset__in=datasets).order_by()
    rows = versions.values("dataset").annotate(num=Count("runs"))
    return {row["dataset"]: row["num"] for row in rows}


def drafts_of(datasets: Sequence[Dataset]) -> dict[int, int]:
    """How many drafts of each dataset are open, by dataset."""
    rows = DraftVersion.objects.open().filter(dataset__in=datasets).order_by().values("dataset")
    return {row["dataset"]: row["num"] for row in rows.annotate(num=Count("pk"))}


def browse(
    version: DatasetVersion,
    filters: Mapping[str, str],
    *,
    words: str = "",
    after: int | None = None,
    before: int | None = None,
) -> Page:
    """Examples behind position ``after``, or those that end before ``before``.

    ``filters`` are values of columns. Restricted versions are never searched.
    """
    found = narrow(version, filters, words)
    num, is_more = _counted(version, found, bool(filters or words.strip()))
    if before is not None:
        rows = [*found.filter(position__lt=before).order_by("-position")[: PAGE_SIZE + 1]]
        has_previous, has_next = len(rows) > PAGE_SIZE, True
        rows = rows[:PAGE_SIZE][::-1]
    else:
        rows = [*found.filter(position__gt=-1 if after is None else after)[: PAGE_SIZE + 1]]
        has_previous, has_next = after is not None, len(rows) > PAGE_SIZE
        rows = rows[:PAGE_SIZE]
    return Page(
        rows,
        num,
        is_more,
        rows[0].position if rows and has_previous else None,
        rows[-1].position if rows and has_next else None,
    )


def narrow(
    version: DatasetVersion, filters: Mapping[str, str], words: str = ""
) -> QuerySet[Example]:
    """The version's examples that fit, in their order."""
    found = version.examples.filter(**filters).order_by("position")
    query = query_of(words)
    if query is None:
        return found
    return found.none() if version.is_restricted else found.filter(search=query)


def query_of(words: str) -> SearchQuery | None:
    """What was typed as a search: every word by its beginning, phrases in quotes, -not this."""
    query = None
    for minus, phrase, word in TERM.findall(words):
        text = phrase or word
        parts = WORD.findall(text)
        if not parts:
            continue
        # A word with signs inside (6.2, co-trimoxazole) is read as the document was: a phrase.
        is_plain = not phrase and len(parts) == 1
        term = (
            SearchQuery(f"{parts[0]}:*", search_type="raw", config="english")
            if is_plain
            else SearchQuery(text, search_type="phrase", config="english")
        )
        term = ~term if minus else term
        query = term if query is None else query & term
    return query


def words_of(words: str) -> list[str]:
    """The words and phrases that a search looks for, to be marked where they occur."""
    return [phrase or word for minus, phrase, word in TERM.findall(words) if not minus]


def marked(text: str, words: Sequence[str]) -> list[tuple[str, bool]]:
    """``text`` in parts, and whether each is one of ``words`` or begins with one."""
    if not words:
        return [(text, False)]
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    parts = re.split(rf"(\b(?:{pattern})\w*)", text, flags=re.IGNORECASE)
    return [(part, place % 2 == 1) for place, part in enumerate(parts) if part]


def snippet(task: Mapping[str, Any], words: Sequence[str]) -> str:
    """A line of the example: the stretch where a word was found, else the start of the prompt."""
    prompt = str(task["messages"][-1]["content"])
    texts = [prompt, *(str(turn["content"]) for turn in task["messages"][:-1])]
    texts += [str(item["text"]) for item in task.get("rubric", ())]
    texts.append(str(task.get("reference", "")))
    for text in texts if words else ():
        low = text.lower()
        places = [place for word in words if (place := low.find(word.lower())) >= 0]
        if places:
            start = max(0, min(places) - 40)
            cut = " ".join(text[start : start + SNIPPET].split())
            return f"{'…' if start else ''}{cut}{'…' if start + SNIPPET < len(text) else ''}"
    flat = " ".join(prompt[: 2 * SNIPPET].split())
    return flat if len(flat) <= SNIPPET else f"{flat[:SNIPPET]}…"


def is_for(request: PageRequest, fragment: str) -> bool:
    """Whether htmx asks for the fragment with this id; it names the element as div#id."""
    return bool(request.htmx) and (request.htmx.target or "").rpartition("#")[2] == fragment


def is_hidden(example: Example) -> bool:
    """Whether its text must not be shown, edited, exported or searched."""
    return bool(example.version.is_restricted or example.task.get("restricted"))


def task_of(example: Example) -> RubricTask | None:
    """What the row holds, or None where it must not be shown."""
    return None if is_hidden(example) else example.rubric_task


def _counted(
    version: DatasetVersion, found: QuerySet[Example], is_narrowed: bool
) -> tuple[int, bool]:
    if not is_narrowed:
        return version.num_examples, False
    num = found.order_by()[: COUNTED + 1].count()
    return min(num, COUNTED), num > COUNTED
