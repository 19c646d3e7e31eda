"""Which dialect a model speaks, by its family: what ``dialect: auto`` stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Dialect = Literal["kimi", "hermes", "server"]

# A marker that only this family's template writes.
MARKERS: tuple[tuple[str, Dialect], ...] = (("<|im_middle|>", "kimi"), ("<|im_start|>", "hermes"))
TOLD_BY_FILES = ("chat_template.jinja", "tokenizer_config.json", "tokenizer.json")
NAMES: tuple[tuple[str, Dialect], ...] = (
    ("kimi", "kimi"),
    ("qwen", "hermes"),
    ("hermes", "hermes"),
    ("smollm", "hermes"),
)


def dialect_of(folder: Path) -> Dialect:
    """The dialect of the model in ``folder``, by its chat template; ``server`` if unknown.

    Kimi's tokenizer brings its markers in Python code and not in a template: its configuration
    names the family as well.
    """
    config = folder / "config.json"
    if config.exists() and '"kimi_k' in config.read_text():
        return "kimi"
    for name in TOLD_BY_FILES:
        text = (folder / name).read_text() if (folder / name).exists() else ""
        for marker, dialect in MARKERS:
            if marker in text:
                return dialect
    return "server"


def dialect_of_name(model: str) -> Dialect:
    """What the name of a model elsewhere promises ("moonshotai/Kimi-K2.5" -> kimi)."""
    lower = model.lower()
    return next((dialect for part, dialect in NAMES if part in lower), "server")
