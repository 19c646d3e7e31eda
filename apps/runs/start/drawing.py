"""Draws the knobs of the big forms in Python: a long form would render a thousand templates.

A knob is its label, its field, its help with the limits, and what is wrong with it. Of the
fields' own HTML nothing differs from Django's widget templates.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.forms.boundfield import BoundField
from django.forms.renderers import DjangoTemplates
from django.http import HttpRequest
from django.utils.html import conditional_escape as escape
from django.utils.safestring import SafeString

Widget = Mapping[str, Any]
FOLDER = "django/forms/widgets"


def knob(field: BoundField, changed: Collection[str] = ()) -> SafeString:
    """A field with all that is said of it; ``changed`` has the ids of those to mark."""
    anchor, widget = escape(field.id_for_label), field.field.widget
    classes = "field knob"
    if field.widget_type == "textarea":
        classes += " wide"
    if field.id_for_label in changed:
        classes += " changed"
    drawn = f'<label for="{anchor}">{escape(field.label)}</label>'
    if getattr(widget, "input_type", "") == "checkbox":
        drawn = f'<div class="tick">{field}{drawn}</div>'
    else:
        drawn += str(field)
    # Every part was escaped, or is a field's own HTML.
    return SafeString(f'<div class="{classes}">{drawn}{_said(field)}</div>')


def _said(field: BoundField) -> str:
    """The help and the faults below a field."""
    help: str = escape(field.help_text)
    if limits := getattr(field, "limits", ""):
        help += f' <span class="limits">{escape(limits)}</span>'
    if maker := getattr(field.field, "maker", None):
        do, url = maker
        help += f' There is none yet. <a href="{escape(url)}">{escape(do)}</a>'
    faults = " ".join(escape(str(error)) for error in field.errors)
    place = escape(field.auto_id)
    return (
        f'<div class="say"><span class="help" id="{place}_helptext">{help}</span>'
        f'<span class="error" id="{place}_error">{faults}</span></div>'
    )


class Direct(DjangoTemplates):
    """Django's own renderer, but for the plain widgets."""

    def render(
        self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None
    ) -> str:
        draw = DRAWN.get(template_name)
        return draw(context["widget"]) if draw else super().render(template_name, context, request)


def _input(widget: Widget) -> str:
    value = widget["value"]
    said = "" if value is None else f' value="{escape(str(value))}"'
    name = escape(widget["name"])
    return f'<input type="{escape(widget["type"])}" name="{name}"{said}{_attributes(widget)}>'


def _textarea(widget: Widget) -> str:
    # The line break is the one that a browser drops: a text may begin with its own.
    text = escape(widget["value"]) if widget["value"] else ""
    return f'<textarea name="{escape(widget["name"])}"{_attributes(widget)}>\n{text}</textarea>'


def _select(widget: Widget) -> str:
    options = [_option(one) for _, group, _ in widget["optgroups"] for one in group]
    drawn = "".join(f"\n  {one}" for one in options)
    return f'<select name="{escape(widget["name"])}"{_attributes(widget)}>{drawn}\n</select>'


def _option(option: Widget) -> str:
    value = escape(str(option["value"]))
    return f'<option value="{value}"{_attributes(option)}>{escape(option["label"])}</option>'


def _attributes(widget: Widget) -> str:
    return "".join(
        f" {escape(name)}" if value is True else f' {escape(name)}="{escape(str(value))}"'
        for name, value in widget["attrs"].items()
        if value is not False
    )


DRAWN: dict[str, Callable[[Widget], str]] = {
    f"{FOLDER}/{name}.html": draw
    for name, draw in (
        ("checkbox", _input),
        ("hidden", _input),
        ("number", _input),
        ("select", _select),
        ("text", _input),
        ("textarea", _textarea),
    )
}
