"""How long and how much of each kind is kept, as ``KOS_RETENTION`` says."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from apps.runs.storage import stock
from kos.errors import UserError

GB = 10**9


class Rule(BaseModel):
    """``days`` from when something was over, ``gb`` for all of the kind; None: no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: float | None = Field(None, gt=0, le=36_500)
    gb: float | None = Field(None, ge=0)

    @property
    def budget_bytes(self) -> int | None:
        return None if self.gb is None else round(self.gb * GB)

    def before(self, now: datetime) -> datetime | None:
        """What was over before this is too old."""
        return None if self.days is None else now - timedelta(days=self.days)

    def __str__(self) -> str:
        said = [] if self.days is None else [f"{self.days:g} days"]
        return " and ".join([*said, *([] if self.gb is None else [f"{self.gb:g} GB"])])


class Policy(RootModel[dict[str, Rule]]):
    """The rules by kind; a kind without one is kept for good."""


def read() -> dict[str, Rule]:
    """The rules in force. Raises UserError for a kind that is none or a limit that is none."""
    known = stock.KINDS
    try:
        rules = Policy.model_validate(settings.RETENTION).root
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"KOS_RETENTION is wrong at {where}: {first['msg']}") from error
    for name in rules:
        if name not in known:
            raise UserError(
                f"KOS_RETENTION names {name!r}, which is no kind; there are {', '.join(known)}"
            )
    return {name: rule for name, rule in rules.items() if str(rule)}
