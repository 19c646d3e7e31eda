from __future__ import annotations

import re

from django import forms
from django.forms.renderers import DjangoTemplates
from django.template import Context, Template

from apps.accounts.selects import SELECT, Renderer


def drawn(source, **context):
    return Template(source).render(Context(context))


def test_an_icon_is_one_of_the_sprites_and_silent():
    html = drawn("{% icon 'play' %}")
    assert html.startswith('<svg class="icon" aria-hidden="true"><use href="/static/icons')
    assert html.endswith('#play"></use></svg>')


def test_a_state_has_its_sign_and_any_other_waits():
    assert drawn("{% pill status %}", status="failed").startswith('<span class="pill bad">')
    assert "○" in drawn("{% pill status %}", status="queued")


def test_a_states_name_is_escaped():
    assert "<b>" not in drawn("{% pill status %}", status="<b>")


def test_a_long_text_is_cut_and_a_short_one_is_not():
    assert drawn("{{ text|short:4 }}", text="abcd") == "abcd"
    assert drawn("{{ text|short:4 }}", text="abcde") == "abc…"
    assert drawn("{{ text|short:9 }}", text="<b>") == "&lt;b&gt;"


def test_a_select_is_drawn_as_django_draws_it():
    choices = [("", "All"), ("Few", [("a", "<A>"), (2, "B")])]
    select = forms.Select({"id": "id_one"}, choices).get_context("one", "2", {"required": True})
    ours, theirs = (one().render(SELECT, select) for one in (Renderer, DjangoTemplates))
    assert re.sub(r"\s*(<|>)\s*", r"\1", theirs) == ours


def test_a_row_leads_where_django_says():
    same = "{% to 'runs:model' pk %} {% url 'runs:model' pk %}"
    ours, theirs = drawn(same, pk=12).split()
    assert ours == theirs
