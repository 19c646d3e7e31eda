"""Which runs a list shows: read from the address, applied to the rows. Pages and API share it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Annotated, Any, Self

from django.db.models import F, Q
from django.http import QueryDict
from django.utils import timezone
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from apps.accounts.hits import number_in
from apps.accounts.models import User
from apps.runs.models import ACTIVE, RunQuerySet, Status
from kos.config import JOBS

# Words for several statuses at once.
GROUPS: dict[str, tuple[str, ...]] = {"active": tuple(ACTIVE)}
STATUSES = (*GROUPS, *Status.values)
# What a list is sorted by, and the column that says so.
SORTS = {
    "id": "pk",
    "name": "name",
    "status": "status",
    "kind": "kind",
    "owner": "owner__username",
    "created": "pk",
    "started": "started",
    "ended": "ended",
}

ORDERS = (*SORTS, *(f"-{name}" for name in SORTS))
# What has not begun or ended goes last, whichever way.
MAY_LACK = ("started", "ended")


def _known(*words: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value and value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(words)}")
        return value

    return BeforeValidator(check)


def _said(*words: str) -> WithJsonSchema:
    """What the API's document says of it."""
    return WithJsonSchema({"type": "string", "enum": [*words]})


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


OptionalId = Annotated[int | None, BeforeValidator(_empty_is_none), Field(ge=1)]
OptionalDay = Annotated[date | None, BeforeValidator(_empty_is_none)]
StatusWord = Annotated[str, _known(*STATUSES), _said(*STATUSES)]


class RunFilters(BaseModel):
    """Every field narrows; an empty one does not. ``sort`` is a column, with ``-`` downwards."""

    model_config = ConfigDict(frozen=True)

    q: str = Field("", max_length=200, description="In the name, the notes, the tags or the id.")
    status: list[StatusWord] = Field([], description=f"Any of {', '.join(STATUSES)}.")
    kind: Annotated[str, _known(*JOBS), _said("", *JOBS)] = ""
    owner: str = Field("", max_length=150, description="A username.")
    tag: list[str] = Field([], description="All of these tags.")
    dataset: OptionalId = Field(None, description="Id of a dataset version.")
    base: OptionalId = Field(None, description="Id of a base model's artifact.")
    after: OptionalDay = Field(None, description="Made on this day or later.")
    before: OptionalDay = Field(None, description="Made on this day or earlier.")
    archived: bool = Field(False, description="The archive instead of what is in use.")
    stages: bool = Field(False, description="The stages of pipelines too.")
    sort: Annotated[str, _known(*ORDERS), _said("", *ORDERS)] = ""

    @classmethod
    def read(cls, query: QueryDict) -> tuple[Self, list[str]]:
        """The filters of a page's address, and a sentence about each that cannot be used."""
        given: dict[str, Any] = {}
        for name in cls.model_fields:
            values = [value for value in query.getlist(name) if value]
            if values:
                is_many = name in ("status", "tag")
                given[name] = values if is_many else values[-1]
        try:
            return cls.model_validate(given), []
        except ValidationError as error:
            wrong = {str(one["loc"][0]): one["msg"] for one in error.errors()}
        kept = {name: value for name, value in given.items() if name not in wrong}
        said = [f"{name} is left out: {reason}." for name, reason in wrong.items()]
        return cls.model_validate(kept), said

    def apply(self, runs: RunQuerySet) -> RunQuerySet:
        """``runs`` narrowed and in order; ties by age, so that pages neither skip nor repeat."""
        for condition in self._conditions():
            runs = runs.filter(condition)
        return runs.order_by(*self._order())

    @property
    def is_narrow(self) -> bool:
        """Whether anything but the order was asked for."""
        return bool(self.model_dump(exclude={"sort"}, exclude_defaults=True))

    def _conditions(self) -> Iterator[Q]:
        yield Q(is_archived=self.archived)
        if not self.stages:
            yield Q(pipeline=None)
        if self.status:
            wanted = {one for word in self.status for one in GROUPS.get(word, (word,))}
            yield Q(status__in=sorted(wanted))
        for name in ("kind", "dataset"):
            if value := getattr(self, name):
                yield Q(**{name: value})
        if self.owner:
            # By number: the database then knows whether these are few runs or most of them.
            known = User.objects.filter(username=self.owner).values_list("pk", flat=True).first()
            yield Q(owner=known or 0)
        if self.tag:
            yield Q(tags__contains=self.tag)
        if self.base:
            yield Q(inputs__artifact=self.base, inputs__name="base")
        if self.after:
            yield Q(created__gte=_start_of(self.after))
        if self.before:
            yield Q(created__lte=_start_of(self.before, time.max))
        if words := self.q.split():
            yield _found(words)

    def _order(self) -> tuple[Any, ...]:
        if not self.sort:
            return ("-pk",)
        column = SORTS[self.sort.removeprefix("-")]
        if column == "pk":
            return ("-pk" if self.sort.startswith("-") else "pk",)
        is_down = self.sort.startswith("-")
        last = "-pk" if is_down else "pk"
        if column not in MAY_LACK:
            return (f"-{column}" if is_down else column, last)
        field = F(column)
        return (field.desc(nulls_last=True) if is_down else field.asc(nulls_last=True), last)


def _found(words: list[str]) -> Q:
    """Every word is somewhere in what a run is known by; a number may be its id."""
    found = Q()
    for word in words:
        one = Q(name__icontains=word) | Q(notes__icontains=word)
        one |= Q(tags__contains=[word.lower()])
        if (pk := number_in(word)) is not None:
            one |= Q(pk=pk)
        found &= one
    return found


def _start_of(day: date, at: time = time.min) -> datetime:
    return timezone.make_aware(datetime.combine(day, at))
