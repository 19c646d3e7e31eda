"""The names one weight goes by: in a checkpoint, in a fused one, in an adapter.

Plain names are those of the files that transformers reads as a text model. No torch here.

- Kimi K2.5 puts ``language_model.`` before the text model and a vision tower beside it.
- transformers 5 holds the experts of a layer in two tensors, ``gate_up_proj`` (E, 2I, H) with
  gate above up and ``down_proj`` (E, H, I). Families whose files have a tensor an expert are
  read so; the others (Qwen3.5) keep the fused tensors, and an adapter finds its experts in them.
- Qwen3-Next interleaves q, k, v and z of each key head in ``in_proj_qkvz``, b and a in
  ``in_proj_ba``; an adapter may hold them apart.
- Tinker calls gate w1, up w3, down w2, the head ``unembed_tokens`` and gpt-oss' attention
  ``attn``.

Source: transformers 5.19, conversion_mapping.py and models/qwen3_next/modeling_qwen3_next.py
(fix_query_key_value_ordering); tinker-cookbook 0.5.8, weights/_merge_utils.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

PREFIX = "language_model."
GATE_UP, DOWN = ".experts.gate_up_proj", ".experts.down_proj"
# Families whose files hold a tensor an expert, though transformers fuses them in memory.
PER_EXPERT = frozenset(
    (
        *("deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2", "kimi_linear", "longcat_flash"),
        *("qwen2_moe", "qwen3_moe", "qwen3_next", "glm4_moe", "glm4_moe_lite", "olmoe"),
        *("flex_olmo", "dots1", "ernie4_5_moe", "hunyuan_v1_moe"),
    )
)
TINKER = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
EXPERT_PARTS = ("gate_proj", "up_proj", "down_proj")


class Run(NamedTuple):
    """Rows of a part that lie one after another in the whole: ``length`` from ``skip`` on stand
    from ``first`` on. Rows run over all dimensions but the last."""

    first: int
    skip: int
    length: int


class View(NamedTuple):
    """A weight that is some rows of a fused one."""

    name: str
    shape: tuple[int, int]
    whole: str
    runs: tuple[Run, ...]


def plain(name: str) -> str:
    """A stored name without what only its container needs."""
    short = name.removeprefix(PREFIX)
    # transformers 5.19 saves Kimi K2.5's layers as ``blocks``, unlike the released files.
    return short if short == name else re.sub(r"^model\.blocks\.", "model.layers.", short)


def views(shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]) -> Iterator[View]:
    """The weights inside the fused ones of ``shapes``."""
    for name in shapes:
        if name.endswith(GATE_UP):
            yield from expert_views(name.removesuffix(GATE_UP) + ".experts", shapes)
        elif name.endswith((".linear_attn.in_proj_qkvz.weight", ".linear_attn.in_proj_ba.weight")):
            yield from _linear_attention(name, shapes[name], config)


def expert_views(module: str, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[View]:
    """Gate, up and down of every expert of ``module``, fused as (E, 2I, H) and (E, H, I).

    Nothing for the transposed layout of gpt-oss and Llama 4, whose rows are not outputs.
    """
    gate_up, down = shapes[f"{module}.gate_up_proj"], shapes.get(f"{module}.down_proj")
    if down is None or len(gate_up) != 3 or len(down) != 3 or 0 in down:
        return
    total, hidden, inner = down
    if gate_up != (total, 2 * inner, hidden):
        return
    for number in range(total):
        first = number * 2 * inner
        for part, begin in (("gate_proj", first), ("up_proj", first + inner)):
            name = f"{module}.{number}.{part}.weight"
            run = Run(begin, 0, inner)
            yield View(name, (inner, hidden), f"{module}.gate_up_proj", (run,))
        run = Run(number * hidden, 0, hidden)
        name = f"{module}.{number}.down_proj.weight"
        yield View(name, (hidden, inner), f"{module}.down_proj", (run,))


def _linear_attention(
    name: str, shape: tuple[int, ...], config: Mapping[str, Any]
) -> Iterator[View]:
    """Parts of Qwen3-Next's projections; nothing when the config does not tell the heads."""
    heads: Any = config.get("linear_num_key_heads")
    values: Any = config.get("linear_num_value_heads")
    key_dim: Any = config.get("linear_key_head_dim")
    value_dim: Any = config.get("linear_value_head_dim")
    if len(shape) != 2 or not all(
        type(one) is int and one > 0 for one in (heads, values, key_dim, value_dim)
    ):
        return
    share = values // heads
    sizes = {"q": key_dim, "k": key_dim, "v": share * value_dim, "z": share * value_dim}
    if name.endswith("in_proj_ba.weight"):
        sizes = {"b": share, "a": share}
    step = sum(sizes.values())
    if shape[0] != heads * step:
        return
    begin = 0
    for part, size in sizes.items():
        runs = tuple(Run(head * step + begin, head * size, size) for head in range(heads))
        stem = name.rsplit(".in_proj_", 1)[0]
        yield View(f"{stem}.in_proj_{part}.weight", (heads * size, shape[1]), name, runs)
        begin += size


def aliases(module: str) -> Iterator[str]:
    """What an adapter's ``module`` may be called in the checkpoint, the likeliest first."""
    yield module
    if module.endswith("unembed_tokens"):
        yield "lm_head"
    if ".attn." in module:
        yield module.replace(".attn.", ".self_attn.")


def expert_part(module: str) -> tuple[str, str] | None:
    """``X.experts.w1`` as (``X.experts``, ``gate_proj``); None when no expert part is named."""
    stem, _, last = module.rpartition(".")
    part = TINKER.get(last, last)
    return (stem, part) if stem.endswith(".experts") and part in EXPERT_PARTS else None
