"""Calibration by nvidia-modelopt, with the whole model in memory.

ModelOpt inserts quantizers as the export's patterns say, runs the text and keeps the largest
inputs; they come back in the same table that the layerwise calibration makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from kos.weights.activations import Calibration, Seen, input_of
from kos.weights.formats.base import ExportFormat

INPUT = "input_quantizer"
NUMBERS = {"num_bits": (2, 1), "block_sizes": {-1: 16, "type": "dynamic", "scale_bits": (4, 3)}}


def calibrate(
    folder: Path,
    batches: Sequence[Tensor],
    *,
    format: ExportFormat,
    dense_layers: Iterable[int],
    on_batch: Callable[[int], None],
) -> Calibration:
    """Largest inputs by ModelOpt's max calibration, and the tokens each expert got.

    ``folder`` is a plain BF16 model; ``on_batch`` is told the rows of each finished batch.
    """
    # Heavy (5 s) and it prints: only a job that quantises pays for it.
    import modelopt.torch.quantization as mtq

    device = "cuda" if torch.cuda.is_available() else "cpu"
    # BF16 is what ModelOpt's own exporter computes with.
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model = model.eval().to(device)
    found = Calibration()
    hooks = _count_experts(model, found)

    def run(quantised: Any) -> None:
        with torch.inference_mode():
            for batch_BT in batches:
                # The decoder alone: scores over the vocabulary calibrate nothing.
                quantised.model(batch_BT.to(device), use_cache=False)
                on_batch(len(batch_BT))

    mtq.quantize(model, quant_config(format, dense_layers), run)
    for hook in hooks:
        hook.remove()
    num_tokens = sum(batch.numel() for batch in batches)
    for name, module in model.named_modules():
        if name.endswith(INPUT) and getattr(module, "amax", None) is not None:
            key = _key(name)
            amax = float(module.amax.float().max())
            before = found.inputs.get(key, Seen())
            found.inputs[key] = Seen(max(amax, before.amax), num_tokens)
    return found


def quant_config(format: ExportFormat, dense_layers: Iterable[int]) -> dict[str, Any]:
    """The export's patterns as ModelOpt's rules.

    The last pattern that matches a quantizer decides, so what is kept comes last.
    Source: ModelOpt 0.47, ``mtq.config``; the preset ``nvfp4_omlp_only`` is the closest, but it
    also takes shared experts.
    """
    rules: list[dict[str, Any]] = [{"quantizer_name": "*", "enable": False}]
    for pattern in format.quantise:
        stem = pattern.rstrip("*")
        rules += [
            {"quantizer_name": f"{stem}*{side}_quantizer", "cfg": NUMBERS, "enable": True}
            for side in ("weight", "input")
        ]
    kept = [*format.keep, "*[kv]_bmm_quantizer"]
    kept += [f"*layers.{layer}.mlp.*" for layer in sorted(dense_layers)]
    rules += [{"quantizer_name": pattern, "enable": False} for pattern in kept]
    return {"quant_cfg": rules, "algorithm": "max"}


def _key(quantizer: str) -> str:
    """``...mlp.experts.gate_up_proj_input_quantizer`` and ``...o_proj.input_quantizer``."""
    module = quantizer.removesuffix(INPUT).rstrip("._")
    return module if ".experts." in module else input_of(f"{module}.weight")


def _count_experts(model: Any, found: Calibration) -> list[Any]:
    """Count routed tokens while the text runs; ModelOpt keeps no such count."""
    hooks = []
    for number, layer in enumerate(model.model.layers):
        experts: Any = getattr(getattr(layer, "mlp", None), "experts", None)
        if getattr(experts, "num_experts", 0):
            hooks.append(experts.register_forward_pre_hook(_counter(found, number)))
    return hooks


def _counter(found: Calibration, layer: int) -> Callable[[Any, tuple[Any, ...]], None]:
    def count(experts: Any, inputs: tuple[Any, ...]) -> None:
        chosen = torch.bincount(inputs[1].flatten().cpu(), minlength=experts.num_experts)
        before = found.coverage.get(layer, [0] * experts.num_experts)
        found.coverage[layer] = [a + b for a, b in zip(before, chosen.tolist(), strict=True)]

    return count
