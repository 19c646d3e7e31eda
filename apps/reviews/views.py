"""Reviewing as pages: the queues, an item to judge, agreement, and what is in dispute.

Everything works as plain forms; ``review.js`` adds the keys and keeps drafts as they are made.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.guards import PageRequest, reader, reviewer
from apps.accounts.streaming import Streamed
from apps.evals import effective
from apps.reviews import agreement, deciding, exports, pages, services
from apps.reviews.forms import said_of
from apps.reviews.models import Item, Queue
from kos.errors import UserError


@reader
@require_GET
def list(request: PageRequest) -> HttpResponse:
    rows = [
        {
            "queue": queue,
            "people": services.progress(queue),
            "can_review": services.may_review(queue, request.user),
            "num_left": services.waiting(queue, request.user).count(),
        }
        for queue in pages.queues_for(request.user).prefetch_related("assignments__user")
    ]
    return render(request, "reviews/list.html", {"rows": rows})


@reviewer
@require_POST
def following(request: PageRequest, pk: int) -> HttpResponse:
    """Take the next item of the queue."""
    return _to_next(request, _queue(request, pk))


@reviewer
@never_cache
@require_http_methods(["GET", "POST"])
def item(request: PageRequest, pk: int, item_pk: int) -> HttpResponse:
    """One answer to judge. What the grader said comes with the reveal, never before."""
    found = _item(request, pk, item_pk)
    if request.method == "POST":
        return _act(request, found)
    return render(request, "reviews/item.html", pages.item_page(found, request.user))


@reader
@require_GET
def show_agreement(request: PageRequest, pk: int) -> HttpResponse:
    queue = _queue(request, pk)
    context = {"queue": queue, "found": agreement.of_queue(queue)}
    return render(request, "reviews/agreement.html", context)


@reviewer
@require_GET
def adjudicate(request: PageRequest, pk: int) -> HttpResponse:
    """The items in dispute, and agreed corrections that wait to be accepted."""
    queue = _queue(request, pk)
    rows = [
        {"item": one, "corrections": deciding.corrections(one), "num": len(deciding.disputed(one))}
        for one in agreement.disputes(queue)
    ]
    return render(request, "reviews/adjudicate.html", {"queue": queue, "rows": rows})


@reviewer
@require_POST
def accept(request: PageRequest, pk: int, item_pk: int) -> HttpResponse:
    """Let an item's agreed corrections count, or keep the grader's verdicts."""
    found = _item(request, pk, item_pk)
    if request.POST.get("action") == "reject":
        deciding.reject_proposed(found)
        messages.info(request, "Kept the grader's verdicts.")
    else:
        num = deciding.accept_proposed(found)
        messages.success(request, f"{num} verdict{'s' if num != 1 else ''} overridden.")
    return redirect("reviews:adjudicate", pk)


@reviewer
@require_http_methods(["GET", "POST"])
def settle(request: PageRequest, pk: int, item_pk: int) -> HttpResponse:
    """One item in dispute, every verdict side by side."""
    found = _item(request, pk, item_pk)
    if found.status == Item.Status.OPEN:
        # Every verdict stands here, the grader's among them: too soon while a review may come.
        return redirect("reviews:item", pk, item_pk)
    if request.method == "GET":
        context = pages.settling_page(found)
        context["may_settle"] = services.may_adjudicate(found, request.user)
        return render(request, "reviews/settle.html", context)
    said = said_of(request.POST, effective.grades_of(found.trace_id))
    try:
        services.adjudicate(found, request.user, said, note=request.POST.get("note", ""))
    except UserError as error:
        messages.error(request, str(error))
        context = pages.settling_page(found, said) | {"may_settle": True}
        return render(request, "reviews/settle.html", context, status=409)
    messages.success(request, "Settled. Verdicts that differ from the grader's now count.")
    return redirect("reviews:adjudicate", pk)


@reader
@require_GET
def export(request: PageRequest, pk: int, kind: str) -> HttpResponseBase:
    """Reviews as files: training data, judge calibration labels, or a spreadsheet."""
    queue = _queue(request, pk)
    if kind not in exports.FILES:
        raise Http404
    file = exports.FILES[kind]
    answer = Streamed(file.write(queue), content_type=file.content_type)
    name = f"review-{queue.pk}-{kind}.{file.ending}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _act(request: PageRequest, found: Item) -> HttpResponse:
    action = request.POST.get("action", "")
    here = ("reviews:item", found.queue_id, found.pk)
    try:
        if action == "take":
            services.take(found, request.user)
            return redirect(*here)
        if action == "skip":
            services.skip(found, request.user, request.POST.get("note", ""))
            return _to_next(request, found.queue)
        if action == "next":
            services.release(found, request.user)
            return _to_next(request, found.queue)
        _submit(request, found)
    except UserError as error:
        messages.error(request, str(error))
        said = said_of(request.POST, effective.grades_of(found.trace_id))
        context = pages.item_page(found, request.user, said)
        return render(request, "reviews/item.html", context | _typed(request), status=409)
    if action == "compare":
        return redirect(*here)
    return _to_next(request, found.queue)


def _submit(request: PageRequest, found: Item) -> None:
    data = request.POST
    services.submit(
        found,
        request.user,
        said_of(data, effective.grades_of(found.trace_id)),
        overall=data.get("overall", ""),
        note=data.get("note", ""),
        is_flagged="is_flagged" in data,
    )


def _typed(request: PageRequest) -> dict[str, object]:
    return {
        "typed_note": request.POST.get("note", ""),
        "typed_overall": request.POST.get("overall", ""),
    }


def _to_next(request: PageRequest, queue: Queue) -> HttpResponse:
    found = services.claim_next(queue, request.user)
    if found is None:
        messages.success(request, f"Nothing is left for you in {queue.name}.")
        return redirect("reviews:list")
    return redirect("reviews:item", queue.pk, found.pk)


def _queue(request: PageRequest, pk: int) -> Queue:
    return get_object_or_404(Queue.objects.visible_to(request.user), pk=pk)


def _item(request: PageRequest, pk: int, item_pk: int) -> Item:
    queue = _queue(request, pk)
    items = queue.items.select_related("queue", "trace", "claimed_by", "only_for")
    found = get_object_or_404(items, pk=item_pk)
    if found.only_for is not None and found.only_for != request.user:
        raise Http404
    return found
