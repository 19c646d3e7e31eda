"""What routers and schemas of the REST API share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from ninja import Router, Schema
from ninja.constants import NOT_SET
from pydantic import ConfigDict, Field

from apps.accounts.auth import BearerAuth

LARGEST_ID = 2**63 - 1

# An id in a query or a body; those in a path are read by Django's ``int`` converter.
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Line = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=20_000)]


class In(Schema):
    """A body. What it does not know it refuses, so that no misspelt name is lost in silence."""

    model_config = ConfigDict(extra="forbid")


class Room(Router):
    """The calls of one area. Each has the scope that a token needs for it, by its method.

    ``operation_id`` is the area and the function's name: ``runs_launch``.
    """

    def __init__(self, area: str, *, reading: str, writing: str, tag: str = "") -> None:
        super().__init__(tags=[tag or area])
        self.area = area
        self.reading = str(reading)
        self.writing = str(writing)

    def add_api_operation(
        self, path: str, methods: list[str], view_func: Callable[..., Any], **options: Any
    ) -> None:
        scope = self.reading if methods == ["GET"] else self.writing
        if options.get("auth", NOT_SET) is NOT_SET:
            options["auth"] = BearerAuth(scope)
        name = view_func.__name__.strip("_")
        options["operation_id"] = options.get("operation_id") or f"{self.area}_{name}"
        super().add_api_operation(path, methods, view_func, **options)
