"""A transformers model without weights, whose layers are filled one at a time.

Built on the meta device: a model of a trillion parameters costs no memory. The routed experts of
a layer are never built; ``kos.weights.layerwise`` reads them one by one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from kos.errors import UserError
from kos.weights.shards import write_json
from kos.weights.source import Source

EXPERTS = "mlp.experts"


class Skeleton:
    """The decoder of ``source``'s model; ``layers`` are empty until filled.

    Weights are filled in ``dtype``, after a BF16 rounding: that is what an engine serves.
    """

    def __init__(self, source: Source, *, dtype: torch.dtype, device: torch.device) -> None:
        self.source, self.dtype, self.device = source, dtype, device
        with tempfile.TemporaryDirectory() as folder:
            write_json(Path(folder) / "config.json", source.model.config)
            config = AutoConfig.from_pretrained(folder)
        made: Any = AutoModelForCausalLM
        with torch.device("meta"):
            model: Any = made.from_config(config, dtype=dtype, attn_implementation="sdpa")
        self.decoder = model.eval().model
        self.layers: list[nn.Module] = list(self.decoder.layers)
        self._prefixes = [f"model.layers.{number}." for number in range(len(self.layers))]
        for name, child in self.decoder.named_children():
            # Its frequencies are computed, not stored, and were lost to the meta device.
            if "rotary" in name:
                setattr(self.decoder, name, type(child)(config).to(device))

    def embed(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """What enters the first layer for each (B, T) of token ids; reads only their rows."""
        ids = torch.unique(torch.cat([batch.flatten() for batch in batches]))
        table = self.decoder.embed_tokens
        table.weight = nn.Parameter(self._rows(ids), requires_grad=False)
        table.num_embeddings, table.padding_idx = len(ids), None
        self._refuse_empty(table, "embed_tokens")
        with torch.inference_mode():
            for batch_BT in batches:
                yield table(torch.searchsorted(ids, batch_BT).to(self.device))

    def _rows(self, ids: Tensor) -> Tensor:
        """The embeddings of sorted ``ids``, reading the table in blocks."""
        found, start = [], 0
        for rows in self.source.blocks("model.embed_tokens.weight"):
            inside = ids[(ids >= start) & (ids < start + len(rows))]
            found.append(self._served(rows[inside - start]))
            start += len(rows)
        return torch.cat(found).to(self.device)

    def _served(self, values: Tensor) -> Tensor:
        return values.to(torch.bfloat16).to(self.dtype)

    def keywords(self, shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """What each layer is called with, beside the hidden states, for a batch (B, T)."""
        caught: list[dict[str, Any]] = [{} for _ in self.layers]
        size = self.source.model.config["hidden_size"]
        hidden = torch.zeros(*shape, size, dtype=self.dtype, device=self.device)
        catchers = [_Catcher(layer, seen) for layer, seen in zip(self.layers, caught, strict=True)]
        norm = self.decoder.norm
        self.decoder.layers, self.decoder.norm = nn.ModuleList(catchers), nn.Identity()
        with torch.inference_mode():
            self.decoder(inputs_embeds=hidden, use_cache=False)
        self.decoder.norm = norm
        return caught

    @contextmanager
    def filled(self, number: int) -> Iterator[nn.Module]:
        """Layer ``number`` with its weights, all but its routed experts; emptied afterwards."""
        layer = self.layers[number]
        self._fill(layer, self._prefixes[number])
        try:
            yield layer
        finally:
            layer.to("meta")

    def _fill(self, layer: nn.Module, prefix: str) -> None:
        state: dict[str, Tensor] = {}
        for name, empty in layer.state_dict().items():
            if f".{name}".find(f".{EXPERTS}.") >= 0:
                continue
            if prefix + name not in self.source.model:
                raise UserError(
                    f"the model's files have no {prefix}{name}, which its class computes with: "
                    "calibrate it with modelopt"
                )
            values = self.source.read(prefix + name)
            # The router's bias stays in float32, as it is served.
            is_buffer = name not in dict(layer.named_parameters())
            state[name] = (values.float() if is_buffer else self._served(values)).to(self.device)
            assert state[name].shape == empty.shape, (name, state[name].shape)
        layer.load_state_dict(state, strict=False, assign=True)
        self._refuse_empty(layer, prefix)

    def _refuse_empty(self, module: nn.Module, name: str) -> None:
        for key, value in (*module.named_parameters(), *module.named_buffers()):
            if value.is_meta and f".{key}".find(f".{EXPERTS}.") < 0:
                raise UserError(
                    f"{name}{key} is computed by this architecture's class alone: calibrate it "
                    "with modelopt"
                )

    def final_norm(self, hidden: Tensor) -> Tensor:
        """The hidden states as the head reads them."""
        norm = self.decoder.norm
        self._fill(norm, "model.norm.")
        with torch.inference_mode():
            normed: Tensor = norm(hidden)
        return normed

    def expert(self, number: int, expert: int) -> tuple[Tensor, Tensor, Tensor]:
        """gate (I, C), up (I, C) and down (C, I) of one expert."""
        stem = f"{self._prefixes[number]}{EXPERTS}.{expert}"
        gate, up, down = (
            self._served(self.source.read(f"{stem}.{part}.weight")).to(self.device)
            for part in ("gate_proj", "up_proj", "down_proj")
        )
        return gate, up, down


class _Catcher(nn.Module):
    """Stands for a layer, notes what it is called with and passes the hidden states on."""

    def __init__(self, layer: nn.Module, seen: dict[str, Any]) -> None:
        super().__init__()
        # Not as a submodule; the decoder reads attributes of its layers (their attention type).
        object.__setattr__(self, "_layer", layer)
        object.__setattr__(self, "_seen", seen)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_layer"), name)

    def forward(self, hidden: Tensor, **keywords: Any) -> Tensor:
        """Note ``keywords``."""
        object.__getattribute__(self, "_seen").update(keywords)
        return hidden
