"""Model folders on disk: which part of an artifact can be loaded for what."""

from __future__ import annotations

import json
from pathlib import Path

from kos.errors import UserError

TWIN = "twin"


def loadable(folder: Path) -> Path:
    """What transformers can load of an artifact: the folder, or the twin of a quantised one.

    Raises UserError for a quantised folder without a twin.
    """
    twin = folder / TWIN
    if twin.is_dir():
        return twin
    if is_quantised(folder):
        raise UserError(
            f"{folder.name} is quantised and has no twin to load without a GPU. Export it "
            "again, or use the merged model."
        )
    return folder


def is_quantised(folder: Path) -> bool:
    """Whether an export stores weights that transformers does not compute with on a CPU."""
    if (folder / "hf_quant_config.json").exists() or (folder / "model.gguf").exists():
        return True
    said = folder / "config.json"
    return said.exists() and "quantization_config" in json.loads(said.read_text())
