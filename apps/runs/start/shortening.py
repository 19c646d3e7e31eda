"""A config as short as it can be said: what differs from the defaults, and no more."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from kos.config import JOBS, JobConfig

KIND = "kind"


def short(config: JobConfig) -> dict[str, Any]:
    """The knobs of ``config`` that are not at their defaults, as JSON without its own kind.

    ``exclude_defaults`` alone would leave out the kind of a choice whose knobs were changed,
    and what is left could not be read again.
    """
    found = _said(config)
    found.pop(KIND, None)
    return found


def read(kind: str, config: dict[str, Any]) -> JobConfig:
    """The config of ``kind`` that ``config`` says; pydantic's ValidationError names a fault."""
    return JOBS[kind].model_validate({**config, KIND: kind})


def _said(value: BaseModel) -> dict[str, Any]:
    """What of ``value`` differs from the defaults of its class, and its kind.

    A part is held against its own class, not against what its owner has for it: whatever is
    left out of a part that is named comes from the part's class.
    """
    whole = value.model_dump(mode="json")
    found: dict[str, Any] = {}
    for name, info in type(value).model_fields.items():
        now = getattr(value, name)
        if name == KIND:
            found[name] = whole[name]
        elif info.is_required() or now != info.get_default(call_default_factory=True):
            found[name] = _said(now) if isinstance(now, BaseModel) else whole[name]
    return found
