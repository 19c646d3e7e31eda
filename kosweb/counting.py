"""The numbers beside the links of the rail: what runs, what waits for this person."""

from __future__ import annotations

from django.core.cache import cache
from django.db.models import Count, F, IntegerField, Model, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from apps.accounts.guards import PageRequest, member
from apps.accounts.models import User
from apps.reviews.models import Item, Queue, Review
from apps.runs.models import HELD, Run

# A number that is a moment old costs nothing: every page and open tab asks for it.
KEPT_SECONDS = 10


@member
@require_safe
def counts(request: PageRequest) -> HttpResponse:
    """What the rail asks for now and then while a page stays open."""
    return JsonResponse(counts_for(request.user))


def counts_for(user: User) -> dict[str, int]:
    """``runs`` that are worked on and ``reviews`` that wait for ``user``: one query, kept."""
    key = f"counts:{user.pk}:{user.role}"
    found: dict[str, int] | None = cache.get(key)
    if found is None:
        found = _count(user)
        cache.set(key, found, KEPT_SECONDS)
    return found


def forget(user: User) -> None:
    """Count anew on the next page."""
    cache.delete(f"counts:{user.pk}:{user.role}")


def _count(user: User) -> dict[str, int]:
    running = Run.objects.visible_to(user).filter(status__in=HELD, pipeline=None)
    asked = User.objects.filter(pk=user.pk).annotate(
        num_runs=_number(running), num_reviews=_number(waiting_for(user))
    )
    num_runs, num_reviews = asked.values_list("num_runs", "num_reviews").get()
    return {"runs": num_runs, "reviews": num_reviews}


def waiting_for(user: User) -> QuerySet[Item]:
    """Answers in open queues that ``user`` may judge and has not."""
    if not user.is_reviewer:
        return Item.objects.none()
    queues = Queue.objects.filter(status=Queue.Status.OPEN)
    mine = queues.filter(assignments=None) | queues.filter(assignments__user=user)
    seen = Review.objects.filter(
        item=OuterRef("pk"), reviewer=user, is_adjudication=False
    ).exclude(status=Review.Status.DRAFT)
    items = Item.objects.filter(queue__in=mine, status=Item.Status.OPEN).alias(
        is_seen=Subquery(seen.values("pk")[:1])
    )
    return (items.filter(only_for=None) | items.filter(only_for=user)).filter(is_seen=None)


def _number(rows: QuerySet[Model]) -> Coalesce:
    """How many rows, as a part of another query."""
    one = rows.order_by().annotate(every=Value(1)).values("every")
    number = one.annotate(number=Count(F("pk"), distinct=True)).values("number")
    return Coalesce(Subquery(number), Value(0), output_field=IntegerField())
