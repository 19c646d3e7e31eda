"""A run has one colour, on every page."""

from __future__ import annotations

from django.template import Context, Template

from apps.runs.figures import colours


def test_a_list_gives_a_run_the_colour_that_its_comparison_gives_it():
    for pk in range(1, 40):
        listed = Template("{% load runs %}{{ pk|slot }}").render(Context({"pk": pk}))
        assert int(listed) == colours.slots([pk])[pk]
