"""Names in quantisation configs: modules instead of weights, many modules in one pattern.

No choice lives here; formats share it.
"""

from __future__ import annotations

from collections.abc import Sequence

WEIGHT = ".weight"


def modules(names: Sequence[str]) -> list[str]:
    """Module names of weights (``model.layers.0.mlp.up_proj.weight``), sorted."""
    return sorted({name.removesuffix(WEIGHT) for name in names})


def excluded(kept: Sequence[str], quantised: Sequence[str]) -> list[str]:
    """Patterns for all modules of ``kept`` and none of ``quantised``, as ModelOpt writes them.

    A pattern is a module, or the shortest prefix at a dot that no quantised module shares, with
    a star: ``model.layers.0.mlp*``. Arguments are weight names. Source:
    modelopt/torch/export/quant_utils.py, ``_prefix_wildcard_summarize_exclude_modules``, 0.47.
    """
    taken = {
        prefix for name in modules(quantised) for prefix in (name, *_starts(name), f"{name}.")
    }
    patterns: set[str] = set()
    for name in modules(kept):
        patterns.add(_shortest(name, taken))
    return sorted(patterns)


def _starts(name: str) -> list[str]:
    """Every prefix of ``name``, the empty one included."""
    return [name[:end] for end in range(len(name))]


def _shortest(name: str, taken: set[str]) -> str:
    for end, letter in enumerate(name):
        if letter == "." and name[:end] not in taken:
            return f"{name[:end]}*"
    return name
