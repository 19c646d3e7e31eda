"""What people do to runs beside running them: names, tags, notes, the archive, many at once.

Every change is said in the run's own log, so that its page, the list and programs that listen
see it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from django.db import transaction
from django.db.models import QuerySet

from apps.runs import events, services
from apps.runs.models import Run
from kos.errors import UserError

EDIT = "edit"
TAG_CHARS = 40
MAX_TAGS = 20
NAME_CHARS = Run._meta.get_field("name").max_length or 120
NOTE_CHARS = 20_000
RECENT = 2000

Runs = QuerySet[Run] | Iterable[Run]


def tag(runs: Runs, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
    """Put tags on runs and take others off; returns how many runs changed.

    Tags are lower-case. Raises UserError, and changes nothing, for a tag that is empty or too
    long and where a run would have too many.
    """
    added, removed = clean_tags(add), set(clean_tags(remove))
    with transaction.atomic():
        return sum(_tag(run, added, removed) for run in runs)


def clean_tags(names: Iterable[str]) -> list[str]:
    """The tags as they are kept, each once, in the order given."""
    found = [" ".join(name.lower().split()) for name in names]
    for name in found:
        if not name:
            raise UserError("A tag is empty; write at least one letter.")
        if len(name) > TAG_CHARS:
            raise UserError(
                f"The tag {name[:TAG_CHARS]}… has {len(name)} characters; {TAG_CHARS} fit."
            )
        if "," in name:
            raise UserError(f"The tag {name} has a comma, which parts tags; leave it out.")
    return list(dict.fromkeys(found))


def note(run: Run, text: str) -> None:
    """Keep ``text`` as the run's notes; empty takes them away."""
    text = text.strip()
    if len(text) > NOTE_CHARS:
        raise UserError(f"The notes have {len(text):,} characters; {NOTE_CHARS:,} fit.")
    with transaction.atomic():
        run = _refreshed(run)
        if run.notes != text:
            run.notes = text
            run.save(update_fields=["notes"])
            events.say(run, EDIT, text="notes changed" if text else "notes taken away")


def rename(run: Run, name: str) -> None:
    """Give the run another name; what it kept keeps the names that it has."""
    name = " ".join(name.split())
    if not name:
        raise UserError("A run needs a name; write at least one letter.")
    if len(name) > NAME_CHARS:
        raise UserError(f"The name has {len(name)} characters; {NAME_CHARS} fit.")
    with transaction.atomic():
        run = _refreshed(run)
        if run.name != name:
            old, run.name = run.name, name
            run.save(update_fields=["name"])
            events.say(run, EDIT, text=f"renamed from {old} to {name}")


def archive(runs: Runs, is_archived: bool = True) -> int:
    """Put ended runs out of sight, or back; returns how many moved.

    A run that waits or works stays in sight: what nobody sees, nobody stops.
    """
    moved = 0
    with transaction.atomic():
        for run in map(_refreshed, runs):
            if run.is_archived == is_archived or (is_archived and not run.is_ended):
                continue
            run.is_archived = is_archived
            run.save(update_fields=["is_archived"])
            events.say(run, EDIT, text="archived" if is_archived else "back from the archive")
            moved += 1
    return moved


def stop_all(runs: Runs) -> int:
    """Ask all of them to stop; returns how many could be asked."""
    return _each(runs, services.stop, lambda run: run.can_stop)


def resume_all(runs: Runs) -> int:
    """Queue those again that failed or were stopped; returns how many."""
    return _each(runs, services.resume, lambda run: run.can_resume)


def known_tags(*, limit: int = 200) -> list[str]:
    """The tags of the newest runs, by name: what a menu offers."""
    # Not only of those that have tags: where few do, that would read every run there is.
    recent = Run.objects.order_by("-pk").values_list("tags", flat=True)[:RECENT]
    return sorted({name for tags in recent for name in tags})[:limit]


def _tag(run: Run, added: Sequence[str], removed: set[str]) -> int:
    run = _refreshed(run)
    kept = [name for name in run.tags if name not in removed]
    fresh = [name for name in added if name not in kept]
    if kept + fresh == run.tags:
        return 0
    if len(kept + fresh) > MAX_TAGS:
        raise UserError(f"{run.name} would have {len(kept + fresh)} tags; {MAX_TAGS} fit.")
    gone = [name for name in run.tags if name in removed]
    run.tags = kept + fresh
    run.save(update_fields=["tags"])
    said = [f"tagged {', '.join(fresh)}"] if fresh else []
    said += [f"no longer tagged {', '.join(gone)}"] if gone else []
    events.say(run, EDIT, text="; ".join(said))
    return 1


def _each(runs: Runs, act: Callable[[Run], None], fits: Callable[[Run], bool]) -> int:
    chosen = [run for run in runs if fits(run)]
    for run in chosen:
        act(run)
    return len(chosen)


def _refreshed(run: Run) -> Run:
    """The row as it stands now, locked: the page that asked may be minutes old."""
    return events.lock(run.pk)
