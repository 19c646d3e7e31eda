"""The browser's side: vendored files as locked, and nothing inline that the CSP would refuse."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def test_vendored_files_are_what_the_lock_says():
    command = [sys.executable, "scripts/vendor_static.py", "--check"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout == ""


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_template_has_no_inline_script_style_or_handler(path):
    # What a template tag takes is no attribute.
    text = re.sub(r"{%.*?%}", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|hx-on", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_extends_and_a_fragment_does_not(path):
    is_page = "{% extends" in path.read_text() or path.name in ("base.html", "500.html")
    assert is_page != path.name.startswith("_")


def test_every_icon_used_is_in_the_sprite():
    sprite = (ROOT / "static" / "icons.svg").read_text()
    text = "".join(path.read_text() for path in TEMPLATES)
    used = re.findall(r'{% icon "([a-z0-9-]+)" %}|icon="([a-z0-9-]+)"', text)
    assert used
    assert {name or icon for name, icon in used} <= set(re.findall(r'id="([a-z0-9-]+)"', sprite))
