"""Random numbers by place: what is drawn for a weight depends on nothing but where it stands.

A counter-based generator (Philox4x64-10) whose key is the run's seed and the tensor's name and
whose counter is the place. So an export can be made again byte for byte, in pieces of any size
and in any order.
Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC11).
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import Tensor

# One step of the counter gives four words of 64 bits: eight draws.
PER_STEP = 8


def uniform(seed: int, name: str, start: int, stop: int) -> Tensor:
    """float32 (stop - start,) in [0, 1): the draws of places ``start`` to ``stop`` of a tensor."""
    first, last = start // PER_STEP, -(-stop // PER_STEP)
    philox = np.random.Philox(key=_key(seed, name), counter=first)
    words = philox.random_raw((last - first) * PER_STEP // 2).astype("<u8", copy=False)
    # 24 bits are what float32 holds exactly, so 1.0 is never drawn.
    draws = (words.view("<u4") >> 8).astype(np.float32) * np.float32(2.0**-24)
    return torch.from_numpy(draws)[start - first * PER_STEP : stop - first * PER_STEP]


def uniform_like(weight_RC: Tensor, seed: int, name: str) -> Tensor:
    """One draw for each value of ``weight_RC``, row by row."""
    return uniform(seed, name, 0, math.prod(weight_RC.shape)).view(weight_RC.shape)


def _key(seed: int, name: str) -> int:
    digest = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little")
