"""Scores as the pages print them: times 100, one decimal, a true minus."""

from __future__ import annotations

from django import template

MINUS = "\N{MINUS SIGN}"
NONE = "–"  # noqa: RUF001
register = template.Library()


@register.filter
def points(value: float | None) -> str:
    """A share as points, ``0.4725`` as ``47.3``."""
    return NONE if value is None else f"{100 * value:.1f}".replace("-", MINUS)


@register.filter
def signed_points(value: float | None) -> str:
    """A difference as points with its sign."""
    return (
        NONE if not isinstance(value, int | float) else f"{100 * value:+.1f}".replace("-", MINUS)
    )


@register.filter
def p_value(value: float | None) -> str:
    """A p value to three decimals; a very small one as such."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


@register.filter
def percent(value: float | None) -> str:
    """A share in percent, one decimal."""
    return NONE if not isinstance(value, int | float) else f"{100 * value:.1f} %"


@register.filter
def thousands(value: float | None) -> str:
    """A count with thin groups of three."""
    return (
        NONE
        if not isinstance(value, int | float)
        else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    )


@register.filter
def plain_sign(value: float) -> str:
    """Points of a rubric with their sign."""
    return f"{value:+.3g}".replace("-", MINUS)
