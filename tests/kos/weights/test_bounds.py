"""What rounding may do, held over weights of every size: nearest, no more, and the same again."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kos.weights.formats.base import ExportFormat, Target
from kos.weights.formats.fp8 import Fp8
from kos.weights.formats.int4 import Int4
from kos.weights.formats.mxfp4 import Mxfp4
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.nvfp4 import VALUES

pytestmark = pytest.mark.filterwarnings("ignore")
NAME, STEM = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj"
QUICK = settings(max_examples=40)
FP4 = (Mxfp4(), Mxfp4(scale_rule="ocp"), Nvfp4(activations="none"))
STABLE = (*FP4, Int4(), Fp8(), Fp8(scales="tensor"))
# compressed-tensors divides by 7.5 and has no code for it: what is rounded again shrinks.
ALL = (*STABLE, Int4(scale_rule="compressed-tensors"))
GRID = torch.tensor(sorted({*VALUES, *(-value for value in VALUES)}))
# One float32 rounding of a product and of a quotient.
SLACK = 1 + 2.0**-20


def told(format: ExportFormat) -> str:
    """A format and its rule, for the name of a test."""
    return " ".join(
        (format.kind, getattr(format, "scale_rule", ""), getattr(format, "scales", ""))
    )


@st.composite
def weights(draw, *, spread: int = 40) -> torch.Tensor:
    """(3, 64) values: blocks of 16 up to 2^spread apart, some zero, some all alike."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    values = torch.randn(12, 16, generator=generator)
    whole = draw(st.integers(-30, 10))
    sizes = draw(st.lists(st.integers(whole - spread, whole), min_size=12, max_size=12))
    values *= torch.exp2(torch.tensor(sizes, dtype=torch.float32)).unsqueeze(1)
    for row in draw(st.sets(st.integers(0, 11), max_size=4)):
        alike = draw(st.sampled_from((0.0, 1.0, 3.0, 6.0))) * 2.0 ** sizes[row]
        values[row] = values[row].sign() * alike
    return values.view(3, 64)


def stored(format: ExportFormat, weight: torch.Tensor) -> dict[str, torch.Tensor]:
    return format.encode(Target(NAME, weight.clone()))


def rounded(format: ExportFormat, weight: torch.Tensor) -> torch.Tensor:
    return format.decode(NAME, stored(format, weight))


def scales(format: ExportFormat, parts: dict[str, torch.Tensor]) -> torch.Tensor:
    """The whole scale at each of 64 columns, float32."""
    scale = parts[f"{STEM}.weight_scale"].float()
    if isinstance(format, Mxfp4):
        scale = torch.exp2(scale - 127)
    if isinstance(format, Nvfp4):
        scale = scale * parts[f"{STEM}.weight_scale_2"]
    return (
        scale.view(-1, scale.shape[-1]).repeat_interleave(64 // scale.shape[-1], 1).expand(3, 64)
    )


@pytest.mark.parametrize("format", FP4, ids=told)
@given(weight=weights())
@QUICK
def test_a_four_bit_float_is_the_nearest_of_its_scale(format, weight):
    parts = stored(format, weight)
    scale = scales(format, parts).unsqueeze(-1)
    nearest = (weight.unsqueeze(-1) - GRID * scale).abs().amin(-1)
    error = (weight - format.decode(NAME, parts)).abs()
    assert (error <= nearest * SLACK + weight.abs() * 2.0**-22).all()


@given(weight=weights())
@QUICK
def test_modelopts_power_of_two_clips_nothing(weight):
    parts = stored(Mxfp4(), weight)
    assert (weight.abs() <= 6 * scales(Mxfp4(), parts) * SLACK).all()


@pytest.mark.parametrize(("rule", "beyond"), [("kimi", 0.0), ("compressed-tensors", 7.5 / 256)])
@given(weight=weights())
@QUICK
def test_int4_is_at_most_half_a_step_away(rule, beyond, weight):
    format = Int4(scale_rule=rule)
    parts = stored(format, weight)
    error = (weight - format.decode(NAME, parts)).abs()
    # The BF16 scale may be rounded down, and 7.5 of it are one code beyond the last.
    assert (error <= (0.5 + beyond) * scales(format, parts) * SLACK).all()


@pytest.mark.parametrize("kind", ["channel", "tensor"])
@given(weight=weights())
@QUICK
def test_fp8_is_at_most_half_a_step_of_e4m3_away(kind, weight):
    format = Fp8(scales=kind)
    parts = stored(format, weight)
    scale = scales(format, parts)
    place = torch.log2((weight / scale).abs().clamp(min=2.0**-6)).floor()
    error = (weight - format.decode(NAME, parts)).abs()
    assert (error <= scale * torch.exp2(place - 4) * SLACK).all()


@pytest.mark.parametrize("format", STABLE, ids=told)
@given(weight=weights(spread=4))
@QUICK
def test_what_lies_on_the_grid_stays_where_it_is(format, weight):
    once = rounded(format, weight)
    again = rounded(format, once)
    assert torch.allclose(again, once, rtol=2.0**-20, atol=0)


@pytest.mark.parametrize("format", ALL, ids=told)
@given(weight=weights(spread=10), power=st.integers(-20, 20))
@QUICK
def test_a_power_of_two_moves_the_scales_alone(format, weight, power):
    moved = rounded(format, weight * 2.0**power)
    assert torch.equal(moved, rounded(format, weight) * 2.0**power)


@pytest.mark.parametrize("format", ALL, ids=told)
@given(weight=weights())
@QUICK
def test_the_sign_goes_through(format, weight):
    if isinstance(format, Int4) and format.scale_rule == "compressed-tensors":
        return  # -8 is a code and 8 is none
    assert torch.equal(rounded(format, -weight), -rounded(format, weight))
