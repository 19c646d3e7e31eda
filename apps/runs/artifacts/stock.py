"""The list of models: filters in the URL, sorting, cursor paging, what they take on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django import forms
from django.db.models import Count, Q, QuerySet, Sum

from apps.accounts.hits import number_in
from apps.accounts.models import Role, User
from apps.accounts.numerals import number
from apps.automation import paging
from apps.runs.models import HELD, MODEL_KINDS, Artifact, Run

PAGE_SIZE = 50
# Of a menu; another base is found from its own page.
MOST_BASES = 60
SORTS = {
    "new": ("Newest", ("-pk",)),
    "old": ("Oldest", ("pk",)),
    "large": ("Largest", ("-size_bytes", "-pk")),
    "name": ("Name", ("name", "pk")),
}
MOST_RUNS = 500
# What a row of the list shows.
SHOWN = ("name", "kind", "format", "size_bytes", "digest", "is_pinned", "freed", "created",
         "base__name", "run__name", "run__owner__username")  # fmt: skip
HEX = frozenset("0123456789abcdef")
MODELS = "models"


class Page(NamedTuple):
    """A stretch of the list; ``after`` is where the next one begins, None at the end."""

    rows: Sequence[Artifact]
    after: int | None
    is_first: bool


class Storage(NamedTuple):
    """What one kind of artifact takes; ``percent`` of the largest."""

    kind: str
    label: str
    num: int
    size_bytes: int
    percent: int


class ModelFilter(forms.Form):
    """What of the list is shown. A value that cannot be read is ignored and marked."""

    q = forms.CharField(
        required=False,
        max_length=120,
        label="Search",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name, hash, run or #id"}),
    )
    kind = forms.ChoiceField(
        required=False,
        choices=[("", "Everything"), (MODELS, "Models only"), *Artifact.Kind.choices],
    )
    format = forms.CharField(required=False, max_length=40)
    base = forms.IntegerField(required=False, min_value=1)
    owner = forms.ModelChoiceField(
        required=False,
        queryset=User.objects.filter(role__in=(Role.ENGINEER, Role.ADMIN)).order_by("username"),
        empty_label="Anybody",
    )
    deployed = forms.ChoiceField(
        required=False,
        choices=[("", "All"), ("now", "Answering now"), ("ever", "At some time"), ("no", "Never")],
    )
    survival = forms.BooleanField(required=False, label="With a survival report")
    files = forms.ChoiceField(  # type: ignore[assignment]  # a field, not what was uploaded
        required=False,
        label="Files",
        choices=[("", "All"), ("pinned", "Pinned"), ("kept", "Kept"), ("freed", "Deleted")],
    )
    sort = forms.ChoiceField(
        required=False, choices=[(name, label) for name, (label, _) in SORTS.items()]
    )

    FIRST = ("q", "kind", "format", "base", "sort")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [(one, one) for one in formats()]
        self.fields["format"].widget = forms.Select(choices=[("", "All"), *kinds])
        self.fields["base"].widget = forms.Select(choices=[("", "All"), *self._bases()])

    @property
    def first(self) -> list[forms.BoundField]:
        return [self[name] for name in self.FIRST]

    @property
    def more(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in self.FIRST]

    @property
    def has_more(self) -> bool:
        """Whether one of the folded filters is in use."""
        return any(field.value() for field in self.more)

    @property
    def is_used(self) -> bool:
        return any(field.value() for field in self if field.name != "sort")

    def _bases(self) -> list[tuple[int, str]]:
        """The newest bases, and the one that is chosen."""
        bases = Artifact.objects.filter(kind=Artifact.Kind.BASE).values_list("pk", "name")
        chosen = self.data.get("base", "")
        found = dict(bases.order_by("-pk")[:MOST_BASES])
        if (pk := number(chosen)) is not None:
            found |= dict(bases.filter(pk=pk))
        return [*found.items()]

    def page(self, after: str) -> Page:
        """The artifacts that fit, from ``after`` (the number of the last one seen) on."""
        self.is_valid()
        found = self.narrow(Artifact.objects.all())
        _, order = SORTS.get(self.cleaned_data.get("sort") or "new", SORTS["new"])
        last = Artifact.objects.filter(pk=number(after) or 0).first()
        if last is not None:
            found = found.filter(paging.after(order, [_value(last, key) for key in order]))
        # A summary may hold a whole report on what survived, of which a row says one word.
        shown = found.annotate(has_survival=Q(summary__has_key="survival"))
        shown = shown.select_related("run__owner", "base").only(*SHOWN)
        shown = shown.prefetch_related("deployments__run", "adapting__run").order_by(*order)
        rows = [*shown[: PAGE_SIZE + 1]]
        more = rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None
        return Page(rows[:PAGE_SIZE], more, last is None)

    def narrow(self, artifacts: QuerySet[Artifact]) -> QuerySet[Artifact]:
        wanted = {name: value for name, value in self.cleaned_data.items() if value}
        if kind := wanted.get("kind"):
            artifacts = artifacts.filter(kind__in=MODEL_KINDS if kind == MODELS else [kind])
        if format := wanted.get("format"):
            artifacts = artifacts.filter(format=format)
        if base := wanted.get("base"):
            artifacts = artifacts.filter(Q(base=base) | Q(pk=base))
        if owner := wanted.get("owner"):
            artifacts = artifacts.filter(run__owner=owner)
        if "survival" in wanted:
            artifacts = artifacts.filter(summary__has_key="survival")
        if words := wanted.get("q"):
            artifacts = artifacts.filter(_named(words))
        return _with_files(_served(artifacts, wanted.get("deployed")), wanted.get("files"))


def formats() -> list[str]:
    """The formats there are, by jumping from one to the next in the index."""
    found: list[str] = []
    while True:
        beyond = Artifact.objects.filter(format__gt=found[-1] if found else "")
        coming = beyond.order_by("format").values_list("format", flat=True).first()
        if coming is None:
            return found
        found.append(coming)


def storage() -> list[Storage]:
    """What the files that are still there take, the largest kind first."""
    kept = Artifact.objects.filter(freed=None).order_by().values_list("kind")
    sums = kept.annotate(num=Count("pk"), size=Sum("size_bytes")).order_by("-size")
    rows = [*sums]
    most = max((size for _, _, size in rows), default=0) or 1
    return [
        Storage(kind, Artifact.Kind(kind).label, num, size, round(100 * size / most))
        for kind, num, size in rows
    ]


def _named(words: str) -> Q:
    """By name, by the start of the hash, by run, or by number (``#12``)."""
    runs = Run.objects.filter(name__icontains=words)
    # As numbers, while they are few: then every side of the "or" has an index to go by.
    few = [*runs.values_list("pk", flat=True)[: MOST_RUNS + 1]]
    fits = Q(name__icontains=words) | Q(run__in=few if len(few) <= MOST_RUNS else runs)
    if (pk := number_in(words)) is not None:
        fits |= Q(pk=pk) | Q(run=pk)
    if len(words) >= 4 and HEX.issuperset(words.lower()):
        fits |= Q(digest__startswith=words.lower())
    return fits


def _served(artifacts: QuerySet[Artifact], wanted: str | None) -> QuerySet[Artifact]:
    if not wanted:
        return artifacts
    ready: dict[str, Any] = {"status": "ready", "run__status__in": HELD} if wanted == "now" else {}
    fits = Q()
    for name in ("deployments", "adapting"):
        conditions = {f"{name}__{field}": value for field, value in ready.items()}
        served = Artifact.objects.filter(**{f"{name}__isnull": False}, **conditions).values("pk")
        # What answers now is little: as numbers they are found at once.
        fits |= Q(pk__in=[row["pk"] for row in served] if ready else served)
    return artifacts.exclude(fits) if wanted == "no" else artifacts.filter(fits)


def _with_files(artifacts: QuerySet[Artifact], wanted: str | None) -> QuerySet[Artifact]:
    match wanted:
        case "pinned":
            return artifacts.filter(is_pinned=True)
        case "kept":
            return artifacts.filter(freed=None)
        case "freed":
            return artifacts.exclude(freed=None)
    return artifacts


def _value(artifact: Artifact, key: str) -> Any:
    return getattr(artifact, key.removeprefix("-"))
