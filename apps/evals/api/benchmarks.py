"""What there is to evaluate on, what was published on it, and score against length."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Schema, Status
from ninja.errors import HttpError

from apps.accounts.auth import require_engineer, require_reader
from apps.automation.paging import Page, Paging, shown, slice_page
from apps.automation.rest import Id
from apps.evals import benchmarks, reports, variants
from apps.evals.api.room import router
from kos.evals.benchmarks import BENCHMARKS
from kos.evals.benchmarks.base import find
from kos.evals.references import references


class BenchmarkOut(Schema):
    kind: str
    label: str
    measures: str
    source: str
    is_embedded: bool = Field(description="Made by Kos: load it. Else import its file.")
    is_of_labels: bool = Field(description="People's verdicts, to hold judges against.")
    file: str = Field(description="What to import; empty where nothing is needed.")
    licence: str
    versions: list[int] = Field(description="Its newest dataset versions, or label sets.")
    settings: dict[str, Any] = Field(description="Knobs of an evaluation that it prescribes.")


class ReferenceWanted(Paging):
    benchmark: str = Field("", max_length=60)


class ReferenceOut(Schema):
    """One published number, in the unit its source prints it in."""

    benchmark: str
    system: str
    slice: str
    metric: str
    value: float
    unit: str
    mode: str
    source: str
    implementation: str
    note: str


class LoadedOut(Schema):
    dataset: int = Field(description="The version that holds the tasks.")


class VariantsWanted(Schema):
    runs: list[Id] = Field(max_length=variants.MAX_RUNS, description="Evaluations.")
    tokens: variants.Counted = Field("visible", description="`all` counts the thinking too.")


class VariantOut(Schema):
    """One model of one evaluation. Intervals are 95 %, over prompts; null where unknown."""

    run: int
    model: str
    made_by: int | None = Field(description="The training behind it.")
    made_as: str
    score: float
    low: float
    high: float
    tokens: float
    tokens_low: float | None
    tokens_high: float | None
    num_prompts: int
    on_front: bool = Field(description="None is as good with as few tokens.")


class VariantsOut(Schema):
    variants: list[VariantOut]
    unlike: list[str] = Field(description="What differs between the evaluations.")


@router.get("/benchmarks", response=Page[BenchmarkOut], summary="What there is to evaluate on")
def list_benchmarks(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    require_reader(request)
    cards = benchmarks.cards()
    found = slice_page(cards, cursor=wanted.cursor, limit=wanted.limit, key="benchmarks")
    return shown(found, _benchmark)


@router.post(
    "/benchmarks/{kind}/load", response={201: LoadedOut}, summary="Keep a benchmark's tasks"
)
def load_benchmark(request: HttpRequest, kind: str) -> Status[dict[str, int]]:
    """As a dataset version; the one there is, if they are kept already."""
    user = require_engineer(request)
    if kind not in BENCHMARKS:
        raise HttpError(404, f"there is no benchmark {kind!r}")
    return Status(201, {"dataset": benchmarks.load_tasks(find(kind), user).pk})


@router.get("/references", response=Page[ReferenceOut], summary="Published numbers")
def list_references(request: HttpRequest, wanted: Query[ReferenceWanted]) -> dict[str, Any]:
    """With how each was computed: two implementations give two numbers."""
    require_reader(request)
    rows = [row for row in references() if wanted.benchmark in ("", row.benchmark)]
    key = f"references:{wanted.benchmark}"
    found = slice_page(rows, cursor=wanted.cursor, limit=wanted.limit, key=key)
    return shown(found, lambda row: ReferenceOut(**row._asdict()))


@router.get("/variants", response={200: VariantsOut, 404: None}, summary="Score against length")
def get_variants(request: HttpRequest, wanted: Query[VariantsWanted]) -> dict[str, Any]:
    """Every model of the evaluations, the shortest first."""
    runs = [*reports.runs_for(require_reader(request)).filter(pk__in=wanted.runs)]
    if len(runs) < len(set(wanted.runs)):
        missing = sorted(set(wanted.runs) - {run.pk for run in runs})
        raise HttpError(404, f"there is no evaluation {', '.join(map(str, missing))}")
    found = variants.with_front(variants.variants_of(runs, wanted.tokens))
    return {
        "variants": [_variant(one) for one in sorted(found, key=lambda one: one.tokens)],
        "unlike": variants.unlike(runs),
    }


def _benchmark(card: benchmarks.Card) -> BenchmarkOut:
    needed = card.benchmark.needs
    return BenchmarkOut(
        kind=card.kind,
        label=card.label,
        measures=card.benchmark.measures,
        source=card.benchmark.source,
        is_embedded=needed is None,
        is_of_labels=card.benchmark.is_of_labels,
        file=needed.file if needed else "",
        licence=needed.licence if needed else "",
        versions=[version.pk for version in card.versions],
        settings=card.benchmark.settings(),
    )


def _variant(one: variants.Variant) -> VariantOut:
    names = ("model", "score", "low", "high", "tokens", "tokens_low", "tokens_high")
    more = ("made_as", "num_prompts", "on_front")
    return VariantOut(
        run=one.run.pk,
        made_by=one.made_by.pk if one.made_by is not None else None,
        **{name: getattr(one, name) for name in (*names, *more)},
    )
