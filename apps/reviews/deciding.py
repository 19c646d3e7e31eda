"""What becomes of an item when its reviews are in: agreed, in dispute, or a correction."""

from __future__ import annotations

from typing import NamedTuple

from django.db import transaction

from apps.accounts.models import User
from apps.evals import effective, services
from apps.reviews.models import Item, Review, Verdict
from apps.traces.models import Grade
from apps.traces.services import settle_flags


class Correction(NamedTuple):
    """An item whose agreed verdict differs from the one that counts."""

    grade: Grade
    met: bool
    by: User
    reason: str


def decide(item: Item) -> None:
    """Set a locked item's status from its submitted reviews, and apply agreed corrections."""
    submitted = item.reviews.filter(status=Review.Status.SUBMITTED, is_adjudication=False)
    if item.repeat_of_id is not None:
        _turn(item, Item.Status.DONE)
    elif submitted.count() < item.queue.overlap:
        return
    elif disputed(item) or submitted.filter(is_flagged=True).exists():
        _turn(item, Item.Status.DISPUTED)
    elif not corrections(item):
        _turn(item, Item.Status.DONE)
    elif item.queue.is_accepting:
        accept(item)
    else:
        _turn(item, Item.Status.PROPOSED)


def settle(item: Item, user: User) -> None:
    """An adjudication is in: it counts at once."""
    review = item.reviews.get(reviewer=user, is_adjudication=True)
    for verdict in review.verdicts.select_related("grade"):
        if verdict.is_met is not None and verdict.is_met != effective.met_of(verdict.grade):
            services.override(verdict.grade, verdict.is_met, user, _reason(verdict, review))
    _turn(item, Item.Status.DONE)


def accept(item: Item) -> int:
    """Turn the item's agreed corrections into overrides; returns how many there were."""
    found = corrections(item)
    for correction in found:
        services.override(correction.grade, correction.met, correction.by, correction.reason)
    _turn(item, Item.Status.DONE)
    return len(found)


@transaction.atomic
def accept_proposed(item: Item) -> int:
    """Accept the corrections of an item that waits for it; 0 when somebody was faster."""
    return accept(item) if _take_proposed(item) else 0


@transaction.atomic
def reject_proposed(item: Item) -> None:
    """Keep the graders' verdicts; the reviews stay."""
    if _take_proposed(item):
        _turn(item, Item.Status.DONE)


def _take_proposed(item: Item) -> bool:
    waiting = Item.objects.filter(pk=item.pk, status=Item.Status.PROPOSED)
    return waiting.update(status=Item.Status.DONE) == 1


def disputed(item: Item) -> set[int]:
    """The grades on which reviewers differ or somebody is unsure."""
    said: dict[int, set[str]] = {}
    for verdict in _verdicts(item):
        said.setdefault(verdict.grade_id, set()).add(verdict.met)
    return {pk for pk, words in said.items() if len(words) > 1 or Verdict.Met.UNSURE in words}


def corrections(item: Item) -> list[Correction]:
    """Verdicts all reviewers share and the verdict that counts does not."""
    unsettled = disputed(item)
    found: dict[int, Correction] = {}
    for verdict in _verdicts(item):
        met = verdict.is_met
        is_agreed = verdict.grade_id not in unsettled and verdict.grade_id not in found
        if is_agreed and met is not None and met != effective.met_of(verdict.grade):
            review = verdict.review
            found[verdict.grade_id] = Correction(
                verdict.grade, met, review.reviewer, _reason(verdict, review)
            )
    return list(found.values())


def _verdicts(item: Item) -> list[Verdict]:
    found = Verdict.objects.filter(
        review__item=item,
        review__status=Review.Status.SUBMITTED,
        review__is_adjudication=False,
    )
    return [*found.select_related("grade", "review__reviewer").order_by("grade__position", "pk")]


def _reason(verdict: Verdict, review: Review) -> str:
    said = " ".join(
        part for part in (verdict.note, f"“{verdict.quote}”" if verdict.quote else "") if part
    )
    kind = "Adjudicated" if review.is_adjudication else "Reviewed"
    return f"{kind} in {review.item.queue.name}. {said}".strip()


def _turn(item: Item, status: Item.Status) -> None:
    Item.objects.filter(pk=item.pk).update(status=status, claimed_by=None, claimed_until=None)
    item.status = status
    if status == Item.Status.DONE:
        settle_flags(item.trace)
