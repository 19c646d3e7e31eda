"""Small weights with the article's statistics, and inputs that look like activations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from kos.weights import int4
from kos.weights.formats.base import Activations, Target

ROWS, COLUMNS, RANK = 256, 512, 8
MEAN_DELTA = 4.23e-5


class Inputs(NamedTuple):
    """x (N, C) and H = mean of x x^T (C, C)."""

    x_NC: Tensor
    moment_CC: Tensor


def make_target(name: str = "model.layers.1.mlp.experts.0.up_proj.weight", **more) -> Target:
    """Mean |w| 1.4e-2 on Kimi's INT4 grid; a change of mean |d| 4.23e-5, a hundredth of a step."""
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(ROWS, COLUMNS, generator=draw) * 1.4e-2 * 1.2533
    packed, scale_RG = int4.quantise(weight.bfloat16())
    base_RC = int4.dequantise(packed, scale_RG, COLUMNS)
    delta_RC = torch.randn(ROWS, RANK, generator=draw) @ torch.randn(RANK, COLUMNS, generator=draw)
    delta_RC *= MEAN_DELTA / delta_RC.abs().mean()
    return Target(name, base_RC, delta_RC, int4.unpack(packed, COLUMNS), scale_RG, **more)


def make_inputs(num: int = 4096) -> Inputs:
    """A few strong directions and a few loud channels over noise, as after a norm."""
    draw = torch.Generator().manual_seed(1)
    strong = torch.randn(num, 8, generator=draw) @ torch.randn(8, COLUMNS, generator=draw)
    loud = torch.exp(0.7 * torch.randn(COLUMNS, generator=draw))
    x_NC = (torch.randn(num, COLUMNS, generator=draw) + strong) * loud
    return Inputs(x_NC, x_NC.T @ x_NC / num)


def make_activations(inputs: Inputs, count: int = 32) -> Activations:
    values, vectors = torch.linalg.eigh(inputs.moment_CC)
    amax = float(inputs.x_NC.abs().max())
    return Activations(
        amax,
        len(inputs.x_NC),
        inputs.moment_CC.diagonal().clone(),
        values.flip(0)[:count],
        vectors.flip(1)[:, :count],
    )


def output_error(error_RC: Tensor, inputs: Inputs) -> float:
    """The mean square an error adds to the outputs: what divergence grows with."""
    return float(((error_RC @ inputs.moment_CC) * error_RC).sum())
