"""A toast that says what was done and has a button that undoes it."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib import messages
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse


def offer(
    request: HttpRequest, said: str, inverse: str, fields: Mapping[str, str], *args: object
) -> None:
    """Tell ``said`` on the next page, with a form that posts ``fields`` to the URL ``inverse``."""
    context = {"said": said, "url": reverse(inverse, args=args), "fields": fields}
    messages.success(request, render_to_string("_undo.html", context, request=request))
