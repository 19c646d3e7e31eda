"""What the review pages show: an item with its verdicts, and where one goes from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from django.db.models import Count, Q, QuerySet

from apps.accounts.models import User
from apps.evals import effective
from apps.reviews.models import Item, Queue, Review, Verdict
from apps.reviews.services import Said, may_review
from apps.traces.models import Grade
from kos.evals.scores import share
from kos.events import ItemGrade


class Line(NamedTuple):
    """One rubric item beside what was said about it. In a blind item ``is_revealed`` is False.

    ``said`` is what the form starts with: what was typed, else the draft.
    """

    grade: Grade
    verdict: Verdict | None
    said: Said
    is_revealed: bool
    others: list[Verdict]

    @property
    def differs(self) -> bool:
        """Whether the reviewer and the grader disagree; never before the reveal."""
        verdict = self.verdict
        return (
            self.is_revealed
            and verdict is not None
            and verdict.is_met is not None
            and verdict.is_met != verdict.judged
        )


def queues_for(user: User) -> QuerySet[Queue]:
    """The queues a user sees, with their counts."""
    base = Q(items__repeat_of=None)
    return Queue.objects.visible_to(user).annotate(
        num_items=Count("items", filter=base, distinct=True),
        num_done=Count("items", filter=base & ~Q(items__status=Item.Status.OPEN), distinct=True),
        num_waiting=Count(
            "items",
            filter=Q(items__status__in=(Item.Status.DISPUTED, Item.Status.PROPOSED)),
            distinct=True,
        ),
    )


def item_page(item: Item, user: User, typed: Mapping[int, Said] | None = None) -> dict[str, Any]:
    """All that an item's page shows to ``user``; the grader's verdicts only when they may be seen.

    ``typed`` is a form that was refused: it comes back as it was.
    """
    review = item.reviews.filter(reviewer=user, is_adjudication=False).first()
    is_submitted = review is not None and review.status == Review.Status.SUBMITTED
    is_revealed = is_submitted or not item.queue.is_blind or not user.is_reviewer
    verdicts = {one.grade_id: one for one in review.verdicts.all()} if review else {}
    grades = [*effective.grades_of(item.trace_id)]
    is_mine = item.holder() == user
    can_write = not is_submitted and item.status == Item.Status.OPEN and is_mine
    return {
        "item": item,
        "queue": item.queue,
        "trace": item.trace,
        "review": review,
        "lines": [
            _line(grade, verdicts.get(grade.pk), typed, is_revealed=is_revealed)
            for grade in grades
        ],
        "parts": parts(item.trace.answer, [one.quote for one in verdicts.values()]),
        "num_judged": len(verdicts),
        "overall_choices": Review.Overall.choices,
        "is_revealed": is_revealed,
        "is_submitted": is_submitted,
        "can_write": can_write,
        "can_take": not is_submitted
        and item.status == Item.Status.OPEN
        and item.holder() is None
        and may_review(item.queue, user),
        "holder": item.holder(),
        "scores": scores(grades, verdicts) if is_revealed else None,
        **neighbours(item, user),
    }


def settling_page(item: Item, typed: Mapping[int, Said] | None = None) -> dict[str, Any]:
    """An item in dispute: every reviewer's verdict side by side with the grader's."""
    found = Verdict.objects.filter(
        review__item=item, review__status=Review.Status.SUBMITTED, review__is_adjudication=False
    ).select_related("review__reviewer")
    by_grade: dict[int, list[Verdict]] = {}
    for verdict in found:
        by_grade.setdefault(verdict.grade_id, []).append(verdict)
    grades = [*effective.grades_of(item.trace_id)]
    reviews = item.reviews.filter(status=Review.Status.SUBMITTED, is_adjudication=False)
    return {
        "item": item,
        "queue": item.queue,
        "trace": item.trace,
        "lines": [
            _line(grade, None, typed or _agreed(by_grade), is_revealed=True)._replace(
                others=by_grade.get(grade.pk, [])
            )
            for grade in grades
        ],
        "parts": parts(item.trace.answer, [one.quote for one in found]),
        "reviews": reviews.select_related("reviewer"),
        "is_revealed": True,
    }


def parts(text: str, quotes: Iterable[str]) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether somebody quoted it as evidence."""
    marks = bytearray(len(text))
    for quote in quotes:
        start = text.find(quote) if quote else -1
        if start >= 0:
            marks[start : start + len(quote)] = b"\1" * len(quote)
    pieces = []
    place = 0
    for is_quoted, run in groupby(marks):
        length = len([*run])
        pieces.append((text[place : place + length], bool(is_quoted)))
        place += length
    return pieces


class Scores(NamedTuple):
    """The answer's share by the grader and by the reviewer; None while an item is open."""

    grader: float | None
    reviewer: float | None


def scores(grades: list[Grade], verdicts: dict[int, Verdict]) -> Scores:
    """Both scores of one answer."""
    by_grader = [_item(grade, grade.met) for grade in grades]
    said = {pk: verdict.is_met for pk, verdict in verdicts.items()}
    by_reviewer = [_item(grade, said.get(grade.pk)) for grade in grades]
    return Scores(_score(by_grader), _score(by_reviewer))


def neighbours(item: Item, user: User) -> dict[str, Item | None]:
    """The items this user has seen in the queue just before and just after this one."""
    seen = (
        Item.objects.filter(queue=item.queue, reviews__reviewer=user)
        .exclude(reviews__status=Review.Status.SKIPPED)
        .distinct()
    )
    ids = [*seen.order_by("position", "pk").values_list("pk", flat=True)]
    if item.pk not in ids:
        return {"previous": seen.order_by("position", "pk").last(), "following": None}
    place = ids.index(item.pk)
    return {
        "previous": seen.filter(pk=ids[place - 1]).first() if place else None,
        "following": seen.filter(pk=ids[place + 1]).first() if place + 1 < len(ids) else None,
    }


def _line(
    grade: Grade,
    verdict: Verdict | None,
    typed: Mapping[int, Said] | None,
    *,
    is_revealed: bool,
) -> Line:
    drafted = Said(verdict.met, verdict.note, verdict.quote) if verdict else Said("")
    said = drafted if typed is None else typed.get(grade.pk, Said(""))
    return Line(grade, verdict, said, is_revealed, [])


def _agreed(by_grade: Mapping[int, list[Verdict]]) -> dict[int, Said]:
    """Where reviewers agree on a definite verdict, the form starts with it."""
    found = {}
    for pk, verdicts in by_grade.items():
        words = {one.met for one in verdicts}
        if len(words) == 1 and Verdict.Met.UNSURE not in words:
            found[pk] = Said(verdicts[0].met)
    return found


def _item(grade: Grade, met: bool | None) -> ItemGrade:
    return ItemGrade(grade.key, "", grade.points, met, grade.grader)


def _score(items: list[ItemGrade]) -> float | None:
    return None if any(item.met is None for item in items) else share(items)
