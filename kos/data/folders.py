"""A Hugging Face folder that somebody else made, taken over as a base."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from kos.errors import UserError

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tiktoken.model")
# Code and documents of the folder stay behind: Kos runs no code that comes with weights.
KEPT = ("*.safetensors", "*.json", "*.jinja", "*.model", "LICENSE*", "*.txt")


def copy(source: Path, folder: Path) -> dict[str, object]:
    """Check ``source`` and copy it to ``folder``, by hard links where the disk is the same.

    Returns what to show of it. Raises UserError naming what is missing.
    """
    config = check(source)
    folder.mkdir(parents=True)
    for pattern in KEPT:
        for file in sorted(source.glob(pattern)):
            _copy_file(file.resolve(), folder / file.name)
    weights = sorted(source.glob("*.safetensors"))
    return {
        "name": source.name,
        "source": str(source),
        "architecture": ", ".join(config.get("architectures") or ["unknown"]),
        "shards": len(weights),
        "size_bytes": sum(file.stat().st_size for file in weights),
    }


def check(source: Path) -> dict[str, list[str] | None]:
    """The folder's config; raises UserError unless config, tokenizer and weights are there."""
    if not source.is_absolute() or not source.is_dir():
        raise UserError(
            f"{str(source)!r} is not a folder on this machine. Give the absolute path of a "
            "Hugging Face folder, the one with config.json in it."
        )
    if not any((source / name).exists() for name in TOKENIZERS):
        raise UserError(f"{source} has no tokenizer: one of {', '.join(TOKENIZERS)} is needed.")
    if not any(source.glob("*.safetensors")):
        raise UserError(
            f"{source} holds no .safetensors file. Convert older formats first, for instance "
            "with save_pretrained of transformers."
        )
    try:
        config = json.loads((source / "config.json").read_text())
    except FileNotFoundError as error:
        raise UserError(f"{source} has no config.json.") from error
    except ValueError as error:
        raise UserError(f"{source / 'config.json'} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{source / 'config.json'} does not hold a JSON object.")
    return config


def _copy_file(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
