"""What the rail needs of every room."""

from __future__ import annotations

from django import template

from apps.accounts.models import User
from kosweb import counting

register = template.Library()


@register.simple_tag
def counts(user: User) -> dict[str, int]:
    """The numbers beside the links."""
    return counting.counts_for(user)
