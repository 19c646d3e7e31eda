"""A report as one HTML file, for a reader without an account.

It holds no script and fetches nothing, which its own policy says as well. Rubric text of
restricted prompts never reaches it: the tables it is made of have none. Every text is escaped;
what the file says of a model or a rubric is data, however it is worded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources

from kos.evals.compare import Compared, Moved, forest_rows
from kos.evals.scores import Score
from kos.evals.slices import CrossTable, Partition, SliceRow
from kos.evals.summary import Headline, Summary
from kos.evals.tables import ExampleRow, ItemRow, Length, Rate

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
MAX_POINTS = 1500
MINUS = "\N{MINUS SIGN}"


def to_html(
    summary: Summary,
    *,
    title: str,
    facts: Mapping[str, str] | None = None,
    examples: Sequence[ExampleRow] = (),
    compared: Compared | None = None,
    stamp: str = "",
) -> str:
    """The whole file. ``facts`` are lines such as dataset, judge and config hash.

    ``stamp`` is printed above everything, such as "Screening, not a score".
    """
    parts = [
        f'<p class="stamp">{escape(stamp)}</p>' if stamp else "",
        _headline(summary.headline),
        _facts(facts or {}),
        "" if compared is None else _compared(compared),
        *[_partition(part) for part in summary.partitions],
        "" if summary.cross is None else _cross(summary.cross),
        _axes(summary.axes),
        _length(summary.length),
        _rates(summary.rates, summary.headline.score, summary.unflagged),
        _items("Criteria most often failed", summary.failed),
        _items("Faults most often committed", summary.faults),
        _examples(examples),
    ]
    style = (resources.files("kos.evals") / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(part for part in parts if part) + "\n</main>\n"
        "</body>\n</html>\n"
    )


def points(value: float | None) -> str:
    """A score in points, as the pages print it."""
    return "-" if value is None else f"{100 * value:.1f}".replace("-", MINUS)


def signed(value: float) -> str:
    """A difference in points with its sign."""
    return f"{100 * value:+.1f}".replace("-", MINUS)


def _headline(found: Headline) -> str:
    score = found.score
    known = score.estimate
    interval = "" if known is None else f"{points(known.low)} to {points(known.high)}"
    least, most = found.samples
    counts = score.counts
    rows = [
        ("Mode", score.mode.label),
        ("95 % interval of the unclipped mean", interval),
        *([("Unclipped mean", points(known.mean))] if known and score.is_clipped else []),
        *[
            (f"Beside it, in mode {other.mode.label}", points(other.value))
            for other in found.beside
        ],
        ("Prompts", str(found.num_prompts)),
        ("Samples a prompt", str(least) if least == most else f"{least} to {most}"),
        ("Judge", found.judges or "deterministic checks"),
        (
            "Answers asked for, given, graded",
            f"{counts.requested}, {counts.answered}, {counts.graded}",
        ),
        ("Items without a verdict", f"{counts.ungraded_items} of {counts.items}"),
        ("Mean characters", f"{found.mean_chars:,.0f}"),
        ("Empty answers", f"{found.empty.hits} of {found.empty.n}"),
        *[(f"Worst of {k}", points(value)) for k, value in found.worst.items()],
    ]
    return (
        f'<section><p class="score">{points(score.value)}</p>'
        f"<p>{escape(found.arithmetic)}</p>{_pairs(rows)}</section>"
    )


def _facts(facts: Mapping[str, str]) -> str:
    return f"<section><h2>What was run</h2>{_pairs(facts.items())}</section>" if facts else ""


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in rows)
    return f"<dl>{cells}</dl>"


def _table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], foot: str = ""
) -> str:
    """A table; the first cell of a row is its heading. Cells are HTML already."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{c}</td>" for c in row[1:]) + "</tr>"
        for row in rows
    )
    end = f'<tfoot><tr><td colspan="{len(heads)}">{escape(foot)}</td></tr></tfoot>' if foot else ""
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>{end}</table></div>"
    )


def _partition(part: Partition) -> str:
    foot = (
        f"The slices weigh back to {points(part.weighted_sum)}; the mean of all prompts is "
        f"{points(part.mean)}. " + ("They agree." if part.adds_up else "They do not agree.")
    )
    heads = ("slice", "prompts", "share", "score", "95 % interval", "", "change", "p (Holm)")
    rows = [_slice_cells(row) for row in part.rows]
    return f"<section>{_table(f'By {part.family}', heads, rows, foot)}</section>"


def _axes(rows: Sequence[SliceRow]) -> str:
    heads = ("axis", "prompts", "share", "score", "95 % interval", "", "change", "p (Holm)")
    if not rows:
        return ""
    foot = "Each prompt counts with the items that carry the tag, so the rows overlap."
    cells = [_slice_cells(row) for row in rows]
    return f"<section>{_table('By axis of the rubric', heads, cells, foot)}</section>"


def _slice_cells(row: SliceRow) -> tuple[str, ...]:
    known = row.estimate
    name = escape(row.name) + (' <span class="small">under 30</span>' if row.is_small else "")
    return (
        name,
        str(row.n),
        f"{100 * row.share:.1f} %",
        points(row.value),
        f"{points(known.low)} to {points(known.high)}",
        _bar(known.low, known.mean, known.high),
        "" if row.delta is None or row.is_small else signed(row.delta.mean),
        "" if row.p_holm is None else _p(row.p_holm),
    )


def _bar(low: float, mean: float, high: float, *, start: float = -0.2, end: float = 1.0) -> str:
    """An interval as a line with a dot, on an axis from ``start`` to ``end``."""

    def place(value: float) -> float:
        return 120 * (min(max(value, start), end) - start) / (end - start)

    zero = place(0)
    return (
        f'<svg class="bar" viewBox="0 0 120 12" width="120" height="12" aria-hidden="true">'
        f'<path class="axis" d="M{zero:.1f} 0V12"/>'
        f'<path d="M{place(low):.1f} 6H{place(high):.1f}"/>'
        f'<circle cx="{place(mean):.1f}" cy="6" r="3"/></svg>'
    )


def _cross(table: CrossTable) -> str:
    cells = {(cell.row, cell.column): cell for cell in table.cells}
    rows = []
    for name in table.rows:
        found = [cells[name, column] for column in table.columns]
        rows.append(
            (
                escape(name),
                *[f"{points(c.value)} <small>{c.n}</small>" if c.n else "" for c in found],
            )
        )
    caption = f"{table.row_family} by {table.column_family}: score and prompts"
    return f"<section>{_table(caption, (table.row_family, *table.columns), rows)}</section>"


def _length(length: Length) -> str:
    rows = [
        (
            f"{found.low:,} to {found.high:,}" if found.high else f"{found.low:,} or more",
            str(found.n),
            points(found.mean),
        )
        for found in length.bins
    ]
    r = "" if length.line.r is None else f", r = {length.line.r:.2f}"
    said = (
        f"{signed(1000 * length.line.slope)} points for every 1,000 characters more{r}; "
        f"{100 * length.share_long:.1f} % of the answers have more than 4,000."
    )
    table = _table("Score by length", ("characters", "answers", "score"), rows)
    return (
        f"<section><h2>Length</h2><p>{escape(said)}</p>{_scatter(length)}{table}</section>"
        if rows
        else ""
    )


def _scatter(length: Length) -> str:
    shown = length.points[:: max(1, len(length.points) // MAX_POINTS)]
    widest = max((chars for chars, _ in shown), default=1) or 1
    low = min(0.0, *(score for _, score in shown))

    def at(chars: float, score: float) -> tuple[float, float]:
        return 600 * chars / widest, 200 * (1 - (score - low) / (1 - low or 1))

    dots = "".join('<circle cx="{:.1f}" cy="{:.1f}" r="2"/>'.format(*at(*dot)) for dot in shown)
    line = length.line
    (x1, y1), (x2, y2) = at(0, line.intercept), at(widest, line.intercept + line.slope * widest)
    return (
        '<svg class="scatter" viewBox="-4 -4 608 208" role="img" aria-label="Score against '
        f'characters, with the fitted line">{dots}'
        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/></svg>'
    )


def _rates(rates: Sequence[Rate], score: Score, unflagged: Score) -> str:
    rows = [
        (
            escape(rate.flag.replace("_", " ")),
            f"{rate.hits} of {rate.n}",
            f"{100 * rate.hits / rate.n:.1f} %" if rate.n else "-",
            f"{100 * rate.low:.1f} to {100 * rate.high:.1f} %",
        )
        for rate in rates
    ]
    foot = f"Score with flagged answers {points(score.value)}, without {points(unflagged.value)}."
    heads = ("failure", "answers", "rate", "95 % (Wilson)")
    return f"<section>{_table('Failures', heads, rows, foot)}</section>"


def _items(caption: str, rows: Sequence[ItemRow]) -> str:
    cells = [
        (
            escape(row.text or row.name),
            escape(row.axis),
            f"{row.hits} of {row.n}",
            f"{100 * row.low:.0f} to {100 * row.high:.0f} %",
            f"{row.points_lost:g}",
        )
        for row in rows
    ]
    heads = ("criterion", "axis", "answers", "95 % (Wilson)", "points lost")
    return f"<section>{_table(caption, heads, cells)}</section>" if cells else ""


def _examples(rows: Sequence[ExampleRow]) -> str:
    cells = [
        (
            escape(row.prompt_id),
            points(row.value),
            "" if row.spread is None else points(row.spread),
            f"{row.num_graded} of {row.num_samples}",
            f"{row.chars:,.0f}",
            escape(", ".join(row.flags)),
        )
        for row in rows
    ]
    heads = ("prompt", "score", "spread", "graded", "characters", "flags")
    return f"<section>{_table('Examples', heads, cells)}</section>" if cells else ""


def _compared(found: Compared) -> str:
    overall = found.overall
    if overall is None:
        return ""
    delta = overall.delta
    said = (
        f"{signed(delta.mean)} points against the baseline on {delta.n} shared prompts, 95 % "
        f"{signed(delta.low)} to {signed(delta.high)}, p {_p(overall.p)} (sign flips); "
        f"{overall.wins} won, {overall.ties} tied, {overall.losses} lost; a difference of "
        f"{points(overall.mde)} would be found four times in five. Not shared: "
        f"{found.only_candidate} and {found.only_baseline} prompts."
    )
    rows = [
        (
            f"{escape(row.family)}: {escape(row.name)}",
            str(row.n),
            signed(row.delta.mean),
            f"{signed(row.delta.low)} to {signed(row.delta.high)}",
            _bar(row.delta.low, row.delta.mean, row.delta.high, start=-0.5, end=0.5),
            "under 30" if row.is_small else _p(row.p_holm),
        )
        for row in forest_rows(found)
        if row.delta is not None
    ]
    heads = ("slice", "prompts", "change", "95 % interval", "", "p (Holm)")
    return (
        f"<section><h2>Change</h2><p>{escape(said)}</p>{_table('Change by slice', heads, rows)}"
        f"{_moved('Worst regressions', found.regressions)}</section>"
    )


def _moved(caption: str, rows: Sequence[Moved]) -> str:
    cells = [
        (
            escape(row.prompt_id),
            points(row.before),
            points(row.after),
            signed(row.delta),
            "<br>".join(
                escape(f"{flip.change:+g}: {flip.text or flip.key}") for flip in row.flips
            ),
        )
        for row in rows
    ]
    heads = ("prompt", "before", "after", "change", "items that flipped")
    return _table(caption, heads, cells) if cells else ""


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"
