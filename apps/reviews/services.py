"""The work of reviewing: filling a queue, claiming an item, keeping verdicts, deciding.

A claim lasts five minutes and moves on with every verdict that is kept. Whoever finds it run
out and taken by somebody else keeps their draft but cannot submit it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.automation import hooks
from apps.evals import effective
from apps.reviews import deciding, repeats, rules
from apps.reviews.models import Assignment, Item, Queue, Review, Verdict
from apps.traces.models import Grade
from kos.errors import UserError

CLAIM = timedelta(minutes=5)


class Said(NamedTuple):
    """One verdict as it comes from a form or the API. ``met`` is a ``Verdict.Met``."""

    met: str
    note: str = ""
    quote: str = ""


@transaction.atomic
def fill(queue: Queue) -> int:
    """Add the answers that the rule finds and that are not in yet; returns how many.

    The same rule, seed and answers give the same queue.
    """
    Queue.objects.select_for_update().get(pk=queue.pk)
    taken = set(queue.items.filter(repeat_of=None).values_list("trace", flat=True))
    found = rules.find(rules.Rule.model_validate(queue.rule), seed=queue.seed)
    fresh = [match for match in found if match.trace not in taken]
    start = (queue.items.aggregate(last=Max("position"))["last"] or 0) + 1
    room = max(0, queue.size - len(taken))
    made = Item.objects.bulk_create(
        Item(
            queue=queue,
            trace_id=match.trace,
            position=start + number,
            reasons=list(match.reasons),
        )
        for number, match in enumerate(fresh[:room])
    )
    return len(made)


@transaction.atomic
def assign(queue: Queue, users: Iterable[User]) -> None:
    """Let exactly these people work on the queue; nobody leaves it open to every reviewer."""
    wanted = {user.pk for user in users}
    queue.assignments.exclude(user__in=wanted).delete()
    Assignment.objects.bulk_create(
        [Assignment(queue=queue, user_id=pk) for pk in wanted], ignore_conflicts=True
    )


def waiting(queue: Queue, user: User) -> QuerySet[Item]:
    """What ``user`` can still take from the queue, in the order in which it is given out.

    A repeat waits until its reviewer has done a few others, or has nothing else to do.
    """
    if queue.status != Queue.Status.OPEN or not may_review(queue, user):
        return Item.objects.none()
    mine = Q(only_for=None) | Q(only_for=user)
    items = queue.items.filter(mine, status=Item.Status.OPEN)
    seen = Review.objects.filter(reviewer=user, is_adjudication=False).exclude(
        status=Review.Status.DRAFT
    )
    return items.exclude(reviews__in=seen).order_by("position", "pk")


def may_review(queue: Queue, user: User) -> bool:
    """Whether the queue gives items to ``user``."""
    people = [assignment.user_id for assignment in queue.assignments.all()]
    return user.is_reviewer and (not people or user.pk in people)


def claim_next(queue: Queue, user: User) -> Item | None:
    """Take the next free item; the one in hand comes again. None when nothing is left."""
    now = timezone.now()
    items = waiting(queue, user).filter(_is_free(user))
    in_hand = items.filter(claimed_by=user, claimed_until__gt=now).first()
    if in_hand is not None and claim(in_hand, user):
        return in_hand
    for item in items[:20]:
        if claim(item, user):
            return item
    return None


def claim(item: Item, user: User) -> bool:
    """Take or keep the item for five minutes; False when somebody else has it or it is done."""
    free = Item.objects.filter(_is_free(user), pk=item.pk, status=Item.Status.OPEN)
    return free.update(claimed_by=user, claimed_until=timezone.now() + CLAIM) == 1


def take(item: Item, user: User) -> None:
    """Claim the item; raises UserError when somebody else was first."""
    if not may_review(item.queue, user):
        raise UserError("This queue is given to other reviewers.")
    if not claim(item, user):
        raise UserError(_taken(item))


def release(item: Item, user: User) -> None:
    """Let go of the item before its time."""
    Item.objects.filter(pk=item.pk, claimed_by=user).update(claimed_by=None, claimed_until=None)


def draft(item: Item, user: User) -> Review:
    """The user's review of the item, begun if need be."""
    review, _ = Review.objects.get_or_create(
        item=item,
        reviewer=user,
        is_adjudication=False,
        defaults={"was_blind": item.queue.is_blind},
    )
    return review


@transaction.atomic
def keep_verdict(item: Item, user: User, grade: Grade, said: Said | None) -> None:
    """Keep one verdict of a draft at once, or clear it with None; the claim lasts on.

    Raises UserError when the item is not in the user's hand.
    """
    take(item, user)
    review = draft(item, user)
    if review.status != Review.Status.DRAFT:
        raise UserError("This review is submitted: it no longer changes.")
    if said is None:
        review.verdicts.filter(grade=grade).delete()
    else:
        _keep(review, grade, said)


@transaction.atomic
def submit(
    item: Item,
    user: User,
    said: Mapping[int, Said],
    *,
    overall: str = "",
    note: str = "",
    is_flagged: bool = False,
) -> Review:
    """Hand in a review: a verdict on every rubric item, by grade id. Then the item is decided.

    Raises UserError for a missing verdict, or when somebody else took the item meanwhile.
    """
    grades = [*effective.grades_of(item.trace_id)]
    _check(grades, said, overall)
    held = Item.objects.select_for_update(no_key=True).filter(_is_free(user), pk=item.pk)
    locked = held.filter(status=Item.Status.OPEN).first()
    if locked is None:
        raise UserError(_taken(item))
    review = draft(locked, user)
    if review.status == Review.Status.SUBMITTED:
        raise UserError("This review is submitted: it no longer changes.")
    for grade in grades:
        _keep(review, grade, said[grade.pk])
    review.overall, review.note, review.is_flagged = overall, note.strip(), is_flagged
    _end(review, Review.Status.SUBMITTED)
    Item.objects.filter(pk=locked.pk).update(claimed_by=None, claimed_until=None)
    repeats.plan(locked, user)
    deciding.decide(locked)
    _announce(locked, user, review)
    return review


@transaction.atomic
def skip(item: Item, user: User, note: str = "") -> None:
    """Leave the item to others. The draft's verdicts go; the reason stays."""
    review = draft(item, user)
    if review.status == Review.Status.SUBMITTED:
        raise UserError("This review is submitted: it can no longer be skipped.")
    review.verdicts.all().delete()
    review.note = note.strip()
    _end(review, Review.Status.SKIPPED)
    release(item, user)


@transaction.atomic
def adjudicate(item: Item, user: User, said: Mapping[int, Said], *, note: str = "") -> Review:
    """Settle a disputed item: these verdicts count, and become overrides where they differ.

    Raises UserError when the item is not in dispute or the user is one of its reviewers.
    """
    locked = Item.objects.select_for_update(no_key=True).filter(
        pk=item.pk, status=Item.Status.DISPUTED
    )
    if not locked.exists():
        raise UserError("This item is not in dispute: it was settled meanwhile.")
    if not may_adjudicate(item, user):
        raise UserError("Who reviewed an item cannot settle it: ask another reviewer.")
    grades = [*effective.grades_of(item.trace_id)]
    _check(grades, said, "good")
    if any(one.met == Verdict.Met.UNSURE for one in said.values()):
        raise UserError("An adjudication settles every item: met or not met.")
    review, _ = Review.objects.get_or_create(
        item=item, reviewer=user, is_adjudication=True, defaults={"was_blind": False}
    )
    for grade in grades:
        _keep(review, grade, said[grade.pk])
    review.note = note.strip()
    _end(review, Review.Status.SUBMITTED)
    deciding.settle(item, user)
    return review


def may_adjudicate(item: Item, user: User) -> bool:
    """Reviewers who did not review the item themselves."""
    own = item.reviews.filter(reviewer=user, is_adjudication=False)
    return user.is_reviewer and not own.filter(status=Review.Status.SUBMITTED).exists()


def progress(queue: Queue) -> list[dict[str, Any]]:
    """What each person did in the queue, the busiest first."""
    rows = (
        Review.objects.filter(item__queue=queue, is_adjudication=False)
        .values("reviewer__username")
        .annotate(
            num_done=Count("pk", filter=Q(status=Review.Status.SUBMITTED)),
            num_skipped=Count("pk", filter=Q(status=Review.Status.SKIPPED)),
        )
        .order_by("-num_done", "reviewer__username")
    )
    return [dict(row) for row in rows]


def _is_free(user: User) -> Q:
    return Q(claimed_by=None) | Q(claimed_until__lte=timezone.now()) | Q(claimed_by=user)


def _taken(item: Item) -> str:
    item.refresh_from_db()
    holder = item.holder()
    if holder is not None:
        return (
            f"{holder.username} has this item until {item.claimed_until:%H:%M} UTC. "
            "Your draft is kept; take the next one."
        )
    return "This item was finished by others meanwhile. Your draft is kept; take the next one."


def _check(grades: list[Grade], said: Mapping[int, Said], overall: str) -> None:
    missing = [place for place, grade in enumerate(grades, 1) if grade.pk not in said]
    if missing:
        places = ", ".join(map(str, missing))
        raise UserError(f"No verdict yet on item {places}: choose met, not met or unsure.")
    if not grades and not overall:
        raise UserError("This answer has no rubric: say how it is as a whole.")
    if any(one.met not in Verdict.Met.values for one in said.values()):
        raise UserError(f"A verdict is one of {', '.join(Verdict.Met.values)}.")


def _keep(review: Review, grade: Grade, said: Said) -> None:
    Verdict.objects.update_or_create(
        review=review,
        grade=grade,
        defaults={
            "met": said.met,
            "note": said.note.strip(),
            "quote": said.quote.strip(),
            "judged": grade.met,
            "judge": grade.grader,
        },
    )


def _announce(item: Item, user: User, review: Review) -> None:
    """Who reviewed what; not what was said, which stays with those who may read it."""
    told = {
        "queue": item.queue_id,
        "queue_name": item.queue.name,
        "item": item.pk,
        "reviewer": user.username,
        "is_flagged": review.is_flagged,
    }
    hooks.announce("review.submitted", item.queue.created_by_id, told)


def _end(review: Review, status: Review.Status) -> None:
    review.status = status
    review.ended = timezone.now()
    review.save(update_fields=["status", "overall", "note", "is_flagged", "ended"])
