"""The sampler's memory: keys and values of every row, in tensors that are made once.

Shapes: ``N`` layers, ``R`` rows, ``H`` key heads, ``S`` slots (positions), ``D`` head size.
Token i of a row lies in slot i, so rows of different lengths share one tensor and a mask.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

ATTENTION = "kos_rows"


class Prefix:
    """Keys and values of one prompt, shared by all its samples. Shapes (N, H, S, D)."""

    def __init__(self, keys_NHSD: Tensor, values_NHSD: Tensor) -> None:
        self.keys_NHSD = keys_NHSD
        self.values_NHSD = values_NHSD

    @classmethod
    def cut(cls, cache: DynamicCache, row: int, length: int) -> Prefix:
        """One row of a padded prefill."""
        layers: list[Any] = list(cache.layers)
        keys = [layer.keys[row, :, :length] for layer in layers]
        values = [layer.values[row, :, :length] for layer in layers]
        return cls(torch.stack(keys), torch.stack(values))

    @property
    def length(self) -> int:
        """Tokens of the prompt."""
        return self.keys_NHSD.shape[2]

    @property
    def size_bytes(self) -> int:
        """Memory it holds."""
        return self.keys_NHSD.nbytes + self.values_NHSD.nbytes

    def to_cache(self, length: int) -> DynamicCache:
        """Its first ``length`` tokens as the past of a prefill with one row."""
        cache = DynamicCache()
        for layer, (keys_HSD, values_HSD) in enumerate(
            zip(self.keys_NHSD, self.values_NHSD, strict=True)
        ):
            cache.update(keys_HSD[None, :, :length], values_HSD[None, :, :length], layer)
        return cache


class RowCache(Cache):
    """Rows of keys and values that a decode step extends by one token each.

    ``place`` says which slots the next step writes; transformers then calls ``update`` once a
    layer. Only the first ``num_rows`` rows and ``num_slots`` slots take part.
    """

    def __init__(self, like: Prefix, *, num_rows: int, num_slots: int) -> None:
        super().__init__(layers=[])
        num_layers, num_heads, _, key_size = like.keys_NHSD.shape
        value_size = like.values_NHSD.shape[-1]
        shape = (num_layers, num_rows, num_heads, num_slots)
        self._keys_NRHSD = like.keys_NHSD.new_zeros(*shape, key_size)
        self._values_NRHSD = like.values_NHSD.new_zeros(*shape, value_size)
        self._rows_R = torch.arange(num_rows, device=like.keys_NHSD.device)
        self._slots_B = self._rows_R[:0]
        self._num_slots = 0

    def write(self, row: int, prefix: Prefix) -> None:
        """Begin ``row`` with a prompt."""
        self._keys_NRHSD[:, row, :, : prefix.length] = prefix.keys_NHSD
        self._values_NRHSD[:, row, :, : prefix.length] = prefix.values_NHSD

    def read(self, row: int, length: int) -> Prefix:
        """A copy of the first ``length`` slots of a row."""
        return Prefix(
            self._keys_NRHSD[:, row, :, :length].clone(),
            self._values_NRHSD[:, row, :, :length].clone(),
        )

    def grow(self, *, num_rows: int, num_slots: int) -> None:
        """Make room for so many rows and slots at least; what is there stays."""
        _, rows, _, slots, _ = self._keys_NRHSD.shape
        if num_rows <= rows and num_slots <= slots:
            return
        num_rows, num_slots = max(num_rows, rows), max(num_slots, slots)
        self._keys_NRHSD = _grown(self._keys_NRHSD, num_rows, num_slots)
        self._values_NRHSD = _grown(self._values_NRHSD, num_rows, num_slots)
        self._rows_R = torch.arange(num_rows, device=self._keys_NRHSD.device)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` slots of one row over another."""
        for tensor in (self._keys_NRHSD, self._values_NRHSD):
            tensor[:, target, :, :length] = tensor[:, source, :, :length]

    def place(self, slots_B: Tensor) -> Tensor:
        """Choose the slot each of the first B rows writes next; returns the mask (B, 1, 1, S)."""
        self._slots_B = slots_B
        self._num_slots = int(slots_B.max()) + 1
        slots_S = torch.arange(self._num_slots, device=slots_B.device)
        return (slots_S <= slots_B[:, None])[:, None, None]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one token a row; returns everything the rows may look at. Called by the model."""
        num_rows = len(self._slots_B)
        rows_B = self._rows_R[:num_rows]
        keys_RHSD, values_RHSD = self._keys_NRHSD[layer_idx], self._values_NRHSD[layer_idx]
        keys_RHSD[rows_B, :, self._slots_B] = key_states[:, :, 0]
        values_RHSD[rows_B, :, self._slots_B] = value_states[:, :, 0]
        return (
            keys_RHSD[:num_rows, :, : self._num_slots],
            values_RHSD[:num_rows, :, : self._num_slots],
        )

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Slots in use."""
        return self._num_slots


def _grown(tensor_NRHSD: Tensor, num_rows: int, num_slots: int) -> Tensor:
    num_layers, rows, num_heads, slots, size = tensor_NRHSD.shape
    grown = tensor_NRHSD.new_zeros(num_layers, num_rows, num_heads, num_slots, size)
    grown[:, :rows, :, :slots] = tensor_NRHSD
    return grown


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention that never repeats keys for their query heads. Registered with transformers.

    Shapes (B, heads, T, D); returns (B, T, heads, D). One query token: the query heads that
    share a key head become its query positions. Several: causal unless a mask (B, 1, T, S) says
    more; no padding on the left.
    """
    num_rows, num_heads, num_tokens, _size = query.shape
    num_key_heads = key.shape[1]
    if num_tokens == 1:
        query = query.reshape(num_rows, num_key_heads, num_heads // num_key_heads, -1)
    out = torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        is_causal=num_tokens > 1 and attention_mask is None,
        scale=scaling,
        enable_gqa=num_tokens > 1 and num_key_heads != num_heads,
    )
    out = out.reshape(num_rows, num_heads, num_tokens, -1)
    return out.transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attend)
