"""The log of a run as a page: by level, by words, page by page, and as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer
from apps.accounts.numerals import number
from apps.runs.models import Run
from apps.runs.page import lines
from apps.runs.page.frame import frame, visible_run

LEVELS = (("", "Everything"), ("warning", "Warnings"), ("error", "Errors"))
SEARCH_CHARS = 200


@engineer
@require_GET
def log(request: PageRequest, pk: int) -> HttpResponse:
    """The end of the log; ``before``, ``after`` and ``at`` turn to other pages of it.

    htmx asks with ``after`` for the new lines alone.
    """
    run = visible_run(request, pk)
    wanted = _wanted(request)
    after = _seq(request, "after")
    if request.htmx and after is not None:
        fresh = context(run, lines.after(run, after, wanted), wanted, seen=after)
        return render(request, "runs/_lines.html", fresh)
    found = _page(request, run, wanted)
    has_older = bool(found) and bool(lines.before(run, found[0].seq, wanted, limit=1))
    has_newer = bool(found) and bool(lines.after(run, found[-1].seq, wanted, limit=1))
    is_still = has_newer or "still" in request.GET or run.is_ended
    shown = context(run, found, wanted, is_still=is_still) | {
        "has_older": has_older,
        "has_newer": has_newer,
        "is_tail": not {"at", "before", "after"} & request.GET.keys(),
        "levels": LEVELS,
        "at": _seq(request, "at"),
        "first_error": lines.first_error(run),
        "query": request.GET.get("q", ""),
    }
    return render(request, "runs/log.html", frame(run, "log") | shown)


@engineer
@require_GET
def log_text(request: PageRequest, pk: int) -> HttpResponseBase:
    """The log as a text file, with the filters of the page."""
    run = visible_run(request, pk)
    answer = StreamingHttpResponse(
        _pieces(run, _wanted(request)), content_type="text/plain; charset=utf-8"
    )
    answer["Content-Disposition"] = content_disposition_header(True, f"kos-run-{run.pk}.log")
    return answer


def context(
    run: Run,
    found: Sequence[lines.Line],
    wanted: lines.Wanted = lines.ALL,
    *,
    seen: int | None = None,
    is_still: bool = False,
) -> dict[str, Any]:
    """Lines, and after which event the next ones are asked for."""
    return {
        "log_run": run,
        "lines": [_marked(line, wanted) for line in found],
        "first_seq": found[0].seq if found else 0,
        # Without lines yet the next ones are all that come after now.
        "seen": found[-1].seq if found else (run.last_seq if seen is None else seen),
        "wanted": wanted,
        "is_still": is_still,
    }


def _marked(line: lines.Line, wanted: lines.Wanted) -> lines.Line:
    return line._replace(parts=lines.marked(line.text, wanted.words)) if wanted.words else line


def _page(request: PageRequest, run: Run, wanted: lines.Wanted) -> list[lines.Line]:
    if (at := _seq(request, "at")) is not None:
        return lines.around(run, at, wanted)
    if (before := _seq(request, "before")) is not None:
        return lines.before(run, before, wanted)
    if (after := _seq(request, "after")) is not None:
        return lines.after(run, after, wanted)
    return lines.tail(run, wanted)


def _wanted(request: PageRequest) -> lines.Wanted:
    level = request.GET.get("level", "")
    words = request.GET.get("q", "")[:SEARCH_CHARS].split()
    return lines.Wanted(level if level in dict(LEVELS) else "", tuple(words))


def _seq(request: PageRequest, name: str) -> int | None:
    return number(request.GET.get(name, ""))


async def _pieces(run: Run, wanted: lines.Wanted) -> AsyncIterator[str]:
    pieces = lines.texts(run, wanted)
    take = sync_to_async(lambda: next(pieces, None))
    while (piece := await take()) is not None:
        yield "\n".join(piece) + "\n"
