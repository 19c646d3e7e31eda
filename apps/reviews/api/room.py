"""The calls of reviews, and how one finds the queue it means."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from apps.accounts.auth import require_reader
from apps.accounts.models import Scope
from apps.automation.rest import Room
from apps.reviews.models import Queue

router = Room("reviews", reading=Scope.REVIEWS_READ, writing=Scope.REVIEWS_WRITE)


def find(request: HttpRequest, pk: int) -> Queue:
    """A queue that the caller may see, or 404."""
    return get_object_or_404(Queue.objects.visible_to(require_reader(request)), pk=pk)
