"""Every page of the URL map, with an address at which nothing is, and the methods it knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter

# What Django and ninja route by themselves: held by other tables.
OTHERS = {"admin", "api-1", "openai"}
# A number that no row has, and words that no name has.
NOBODY = 999_999
# A page whose address is a regular expression.
SPELT = {"tools:mcp_act": f"/tools/mcp/{NOBODY}/approve/"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Page(NamedTuple):
    """A route with a name of its own, or its path where it has none."""

    name: str
    path: str

    def methods(self, browser: Client) -> list[str]:
        """What it takes, as it says itself to a method that nothing takes."""
        reply = browser.generic("PROPFIND", self.path)
        assert reply.status_code == 405, f"{self.name} takes any method ({reply.status_code})"
        allowed = {one.strip() for one in reply.headers["Allow"].split(",")}
        return [method for method in METHODS if method in allowed]


def pages() -> list[Page]:
    """All of them, in the order of their names."""
    return sorted(_walk(get_resolver().url_patterns, "/", ""))


def _walk(patterns: list[URLPattern | URLResolver], path: str, space: str) -> Iterator[Page]:
    for one in patterns:
        if isinstance(one, URLResolver):
            if one.namespace not in OTHERS:
                inner = f"{one.namespace}:" if one.namespace else space
                yield from _walk(one.url_patterns, path + _filled(one), inner)
            continue
        name = f"{space}{one.name}" if one.name else path + _filled(one)
        if name != "/admin/login/":
            yield Page(name, SPELT.get(name, path + _filled(one)))


def _filled(one: URLPattern | URLResolver) -> str:
    text = str(one.pattern)
    for name, converter in one.pattern.converters.items():
        value = str(NOBODY) if isinstance(converter, IntConverter) else "nobody"
        text = re.sub(f"<[a-z]+:{name}>", value, text)
    return text
