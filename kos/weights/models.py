"""A model in memory made of weights by name, whatever they were stored as.

For what no folder holds: the base with an adapter folded in without any rounding, and the
numbers an export format stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor

from kos.errors import UserError
from kos.weights.formats.base import Activations, ExportFormat
from kos.weights.plan_export import place
from kos.weights.source import Source, sharing
from kos.weights.text import KEEP_FP32, Checkpoint


def build(config: Mapping[str, Any], weights: Mapping[str, Tensor], device: str = "cpu") -> Any:
    """The causal language model of ``config``, in float32, with ``weights`` by checkpoint name.

    Raises UserError for an architecture that transformers does not know.
    """
    known = {**config}
    model_type = known.pop("model_type")
    known.pop("dtype", None)
    try:
        made = transformers.AutoConfig.for_model(model_type, **known)
        architecture: Any = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(made)]
    except (ValueError, KeyError) as error:
        raise UserError(f"transformers knows no model of type {model_type}") from error
    model: Any = architecture.from_pretrained(
        None, config=made, state_dict=dict(weights), dtype=torch.float32
    )
    return model.to(device).eval()


def plain(source: Source) -> dict[str, Tensor]:
    """Base + change in float32, without any rounding."""
    return {name: source.read(name).float() for name in source.model}


def stored(
    source: Source,
    format: ExportFormat,
    *,
    activations: Mapping[str, Activations] | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """What an engine computes with after an export to ``format``, in float32.

    What the format does not quantise is rounded to BF16, as the export writes it.
    """
    seen = activations or {}
    quantised = {*quantised_by(source, format)}
    weights: dict[str, Tensor] = {}
    for name in source.model:
        if name not in quantised:
            values = source.read(name).float()
            is_whole = KEEP_FP32.search(name) or not format.folds_adapter
            weights[name] = values if is_whole else values.bfloat16().float()
            continue
        partners = sharing(name, quantised.__contains__) if format.shares_scale else ()
        target = source.target(name, seed=seed, activations=seen.get(name), shares_with=partners)
        weights[name] = format.computed(target, format.encode(target))
    return weights


def quantised_by(source: Source, format: ExportFormat) -> list[str]:
    """The weights that the format's patterns name and that it can store."""
    placed = place(source.tensors(), source.model.config, format)
    return [one.tensor.name for one in placed if one.is_quantised]


def of_folder(folder: Checkpoint) -> dict[str, Tensor]:
    """A checkpoint's weights in float32, packed ones unpacked."""
    return {name: weight.read().float() for name, weight in folder.items()}
