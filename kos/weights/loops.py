"""The loops of ``kernels``, compiled by numba for this machine and kept for the next process.

No fast mathematics: a value is rounded as often, and in the order, as torch rounds it. Only the
sums of ``_fold_row`` may be taken in any order, without which they would not vectorise; nothing
that is written hangs on them. Constants are spelled in 32 bits, for numba would go on in 64,
half as many at a time. Loops run over a row, or over a group whose length stands in the code.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

F = np.float32
I4, U1, U2, U4 = np.int32, np.uint8, np.uint16, np.uint32


def _cache_folder() -> str:
    """The user's cache, else a folder of this process alone: compiled code is run unseen, so
    it must not come from where others can write."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folder = home / "kos" / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return tempfile.mkdtemp(prefix="kos-numba-")
    return str(folder) if os.access(folder, os.W_OK) else tempfile.mkdtemp(prefix="kos-numba-")


if not numba.config.CACHE_DIR:
    numba.config.CACHE_DIR = _cache_folder()

compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True, error_model="numpy")
inlined: Callable[..., Any] = numba.njit(inline="always")
any_order: Callable[..., Any] = numba.njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"}
)


def _e4m3_values() -> Any:
    """The 256 values of float8_e4m3fn; 0x7F and 0xFF are NaN."""
    values = np.empty(256, dtype=np.float32)
    for code in range(256):
        exponent, mantissa = (code >> 3) & 15, code & 7
        size = (8 + mantissa) * 2.0 ** (exponent - 10) if exponent else mantissa * 2.0**-9
        values[code] = np.nan if code & 127 == 127 else (-size if code & 128 else size)
    return values


E4M3 = _e4m3_values()


@intrinsic  # type: ignore[untyped-decorator]
def as_float(context: Any, bits: Any) -> Any:
    """uint32 bits as the float32 they are."""

    def make(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.FloatType())

    return types.float32(types.uint32), make


@intrinsic  # type: ignore[untyped-decorator]
def as_bits(context: Any, value: Any) -> Any:
    """float32 as its uint32 bits."""

    def make(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.IntType(32))

    return types.uint32(types.float32), make


@inlined
def _size(value: Any) -> Any:
    """Bits of |value|: without a sign, floats sort as their bits do, NaN above all."""
    return U4(as_bits(value) & U4(0x7FFFFFFF))


@inlined
def _near(value: Any) -> Any:
    """Bits of ``value`` rounded to bfloat16, ties to even, in the upper half; NaN stays NaN."""
    bits = as_bits(value)
    odd = U4(U4(bits >> U4(16)) & U4(1))
    near = U4(U4(bits + U4(U4(0x7FFF) + odd)) & U4(0xFFFF0000))
    return U4(0x7FC00000) if value != value else near


@inlined
def _wide(half: Any) -> Any:
    """bfloat16 bits to float32."""
    return as_float(U4(U4(half) << U4(16)))


@compiled
def _decode_row(bytes_B: Any, scale_G: Any, out_C: Any) -> None:
    """One row of packed INT4 to float32: of each group the sixteen values it can have, then
    look them up, which is faster than arithmetic on nibbles."""
    values = np.empty(16, dtype=np.float32)
    for group in range(scale_G.shape[0]):
        scale, first = _wide(scale_G[group]), group * 16
        for code in range(16):
            values[code] = F(I4(I4(code) - I4(8))) * scale
        for k in range(first, first + 16):
            byte = bytes_B[k]
            out_C[2 * k] = values[byte & U1(15)]
            out_C[2 * k + 1] = values[byte >> U1(4)]


@any_order
def _fold_row(weight_C: Any, delta_C: Any, out_C: Any, sums: Any) -> None:
    """bfloat16(weight + delta) to ``out_C``, and what it changed to ``sums``."""
    moved = weight_abs = delta_abs = delta_sq = kept_dot = kept_sq = F(0)
    for column in range(weight_C.shape[0]):
        weight, delta = weight_C[column], delta_C[column]
        after = _near(weight + delta)
        out_C[column] = U2(after >> U4(16))
        kept = as_float(after) - as_float(_near(weight))
        moved += F(1) if kept != F(0) else F(0)
        weight_abs += abs(weight)
        delta_abs += abs(delta)
        delta_sq += delta * delta
        kept_dot += kept * delta
        kept_sq += kept * kept
    sums[0] += moved
    sums[1] += weight_abs
    sums[2] += delta_abs
    sums[3] += delta_sq
    sums[4] += kept_dot
    sums[5] += kept_sq


@compiled
def fold_int4(bytes_RB: Any, scale_RG: Any, delta_RC: Any, out_RC: Any) -> Any:
    """bfloat16(INT4 + delta); returns the six sums of ``Sums``."""
    sums, weight_C = np.zeros(6), np.empty(delta_RC.shape[1], dtype=np.float32)
    for row in range(delta_RC.shape[0]):
        _decode_row(bytes_RB[row], scale_RG[row], weight_C)
        _fold_row(weight_C, delta_RC[row], out_RC[row], sums)
    return sums


@compiled
def fold_bf16(bits_RC: Any, delta_RC: Any, out_RC: Any) -> Any:
    """bfloat16(bfloat16 + delta); returns the six sums of ``Sums``."""
    sums, weight_C = np.zeros(6), np.empty(delta_RC.shape[1], dtype=np.float32)
    for row in range(delta_RC.shape[0]):
        bits_C = bits_RC[row]
        for column in range(bits_C.shape[0]):
            weight_C[column] = _wide(bits_C[column])
        _fold_row(weight_C, delta_RC[row], out_RC[row], sums)
    return sums


@compiled
def fold_f32(rows_RC: Any, delta_RC: Any, out_RC: Any) -> Any:
    """bfloat16(float32 + delta); returns the six sums of ``Sums``."""
    sums = np.zeros(6)
    for row in range(delta_RC.shape[0]):
        _fold_row(rows_RC[row], delta_RC[row], out_RC[row], sums)
    return sums


@compiled
def int4_values(bytes_RB: Any, scale_RG: Any, out_RC: Any) -> None:
    """Packed INT4 to float32."""
    for row in range(out_RC.shape[0]):
        _decode_row(bytes_RB[row], scale_RG[row], out_RC[row])


@compiled
def add_int4(bytes_RB: Any, scale_RG: Any, sum_RC: Any) -> None:
    """Packed INT4 added to float32."""
    weight_C = np.empty(sum_RC.shape[1], dtype=np.float32)
    for row in range(sum_RC.shape[0]):
        _decode_row(bytes_RB[row], scale_RG[row], weight_C)
        sum_C = sum_RC[row]
        for column in range(sum_C.shape[0]):
            sum_C[column] += weight_C[column]


@compiled
def int4_bf16(bytes_RB: Any, scale_RG: Any, out_RC: Any) -> None:
    """Packed INT4 to bfloat16."""
    weight_C = np.empty(out_RC.shape[1], dtype=np.float32)
    for row in range(out_RC.shape[0]):
        _decode_row(bytes_RB[row], scale_RG[row], weight_C)
        out_C = out_RC[row]
        for column in range(out_C.shape[0]):
            out_C[column] = U2(_near(weight_C[column]) >> U4(16))


@compiled
def largest(values: Any) -> Any:
    """The largest magnitude of flat float32 values, as bits."""
    found = U4(0)
    for k in range(values.shape[0]):
        size = _size(values[k])
        found = size if size > found else found
    return found


@compiled
def _to_e4m3(value: Any) -> Any:
    """The nearest float8_e4m3fn of a value in [2^-9, 448], ties to even."""
    bits = as_bits(value)
    if bits < U4(0x3C800000):  # below 2^-6 the steps are 2^-9: count them
        mantissa = U4(U4(bits & U4(0x7FFFFF)) | U4(0x800000))
        shift = U4(U4(141) - U4(bits >> U4(23)))
        odd = U4(U4(mantissa >> shift) & U4(1))
        half = U4(U4(U4(U4(1) << U4(shift - U4(1))) - U4(1)) + odd)
        return U1(U4(mantissa + half) >> shift)
    odd = U4(U4(bits >> U4(20)) & U4(1))
    near = U4(U4(bits + U4(U4(0x7FFFF) + odd)) >> U4(20))
    return U1(near - U4(120 << 3))


@compiled
def _pack_row(codes_C: Any, out_B: Any) -> None:
    """Two codes a byte, the even column in the low nibble."""
    for k in range(out_B.shape[0]):
        out_B[k] = codes_C[2 * k] | (codes_C[2 * k + 1] << U1(4))


@compiled
def _amax_row(row_C: Any, amax_N: Any) -> None:
    """Largest magnitude of each sixteen columns."""
    for block in range(amax_N.shape[0]):
        first, amax = block * 16, U4(0)
        for k in range(16):
            size = _size(row_C[first + k])
            amax = size if size > amax else amax
        amax_N[block] = as_float(amax)


@compiled
def _divide_row(row_C: Any, step_N: Any, out_C: Any) -> None:
    """Columns by the step of their sixteen."""
    for block in range(step_N.shape[0]):
        step, first = step_N[block], block * 16
        for k in range(16):
            out_C[first + k] = step
    # Apart from the filling: one loop over the row vectorises, one over sixteen does not.
    for column in range(row_C.shape[0]):
        out_C[column] = row_C[column] / out_C[column]


@compiled
def nvfp4(rows_RC: Any, scale_2: Any, codes_RB: Any, scale_RN: Any) -> None:
    """NVFP4 in ModelOpt's order of operations, so that every rounding is the same."""
    columns, num_blocks = rows_RC.shape[1], scale_RN.shape[1]
    step_N, codes_C = np.empty(num_blocks, dtype=np.float32), np.empty(columns, dtype=np.uint8)
    scaled_C = np.empty(columns, dtype=np.float32)
    for row in range(rows_RC.shape[0]):
        _amax_row(rows_RC[row], step_N)
        for block in range(num_blocks):
            scale = step_N[block] / (F(6) * scale_2)
            scale = F(1) if scale == F(0) else min(max(scale, F(2.0**-9)), F(448))
            scale_RN[row, block] = _to_e4m3(scale)
            step_N[block] = E4M3[scale_RN[row, block]] * scale_2
        _divide_row(rows_RC[row], step_N, scaled_C)
        _e2m1_row(scaled_C, codes_C)
        _pack_row(codes_C, codes_RB[row])


@compiled
def _e2m1_row(scaled_C: Any, codes_C: Any) -> None:
    """Nearest of 0, .5, 1, 1.5, 2, 3, 4, 6; a tie goes to the even index."""
    for column in range(scaled_C.shape[0]):
        value = scaled_C[column]
        size, code = abs(value), I4(0)
        code = I4(1) if size > F(0.25) else code
        code = I4(2) if size >= F(0.75) else code
        code = I4(3) if size > F(1.25) else code
        code = I4(4) if size >= F(1.75) else code
        code = I4(5) if size > F(2.5) else code
        code = I4(6) if size >= F(3.5) else code
        code = I4(7) if size > F(5) else code
        codes_C[column] = U1(code | (I4(8) if value < F(0) else I4(0)))


@compiled
def _int4_encode_row(row_C: Any, step_N: Any, codes_C: Any, scaled_C: Any, scale_G: Any) -> None:
    """Kimi's rule for one row: codes and scales; ``step_N`` is left with the scales, widened."""
    _amax_row(row_C, step_N)
    for group in range(scale_G.shape[0]):
        amax = max(step_N[2 * group], step_N[2 * group + 1])
        half = U2(_near(amax / F(7)) >> U4(16))
        scale_G[group] = half if half else U2(0x3F80)
        step_N[2 * group] = step_N[2 * group + 1] = _wide(scale_G[group])
    _divide_row(row_C, step_N, scaled_C)
    _int4_row(scaled_C, codes_C)


@compiled
def int4(rows_RC: Any, packed_RB: Any, scale_RG: Any) -> None:
    """INT4 by Kimi's rule: scale bfloat16(amax / 7), codes within [-7, 7]."""
    columns = rows_RC.shape[1]
    step_N, codes_C = np.empty(columns // 16, dtype=np.float32), np.empty(columns, dtype=np.uint8)
    scaled_C = np.empty(columns, dtype=np.float32)
    for row in range(rows_RC.shape[0]):
        _int4_encode_row(rows_RC[row], step_N, codes_C, scaled_C, scale_RG[row])
        _pack_row(codes_C, packed_RB[row])


@compiled
def repack_int4(
    bytes_RB: Any, scale_RG: Any, delta_RC: Any, packed_RB: Any, new_scale_RG: Any
) -> Any:
    """INT4 + delta to INT4 by Kimi's rule; returns the six sums of ``Sums``, then the codes and
    scales that changed."""
    columns = delta_RC.shape[1]
    step_N, codes_C = np.empty(columns // 16, dtype=np.float32), np.empty(columns, dtype=np.uint8)
    weight_C, sum_C = np.empty(columns, dtype=np.float32), np.empty(columns, dtype=np.float32)
    kept_C, sums = np.empty(columns, dtype=np.float32), np.zeros(8)
    for row in range(delta_RC.shape[0]):
        delta_C = delta_RC[row]
        _decode_row(bytes_RB[row], scale_RG[row], weight_C)
        for column in range(columns):
            sum_C[column] = weight_C[column] + delta_C[column]
        _int4_encode_row(sum_C, step_N, codes_C, kept_C, new_scale_RG[row])
        _pack_row(codes_C, packed_RB[row])
        _decode_row(packed_RB[row], new_scale_RG[row], kept_C)
        for column in range(columns):
            kept_C[column] -= weight_C[column]
        _tally_row(weight_C, delta_C, kept_C, sums)
        sums[6] += _differing(bytes_RB[row], packed_RB[row])
        for group in range(scale_RG.shape[1]):
            sums[7] += scale_RG[row, group] != new_scale_RG[row, group]
    return sums


@compiled
def _differing(a_B: Any, b_B: Any) -> Any:
    """Nibbles that differ between two rows of bytes."""
    count = I4(0)
    for k in range(a_B.shape[0]):
        apart = U1(a_B[k] ^ b_B[k])
        count += I4((apart & U1(15)) != U1(0)) + I4((apart >> U1(4)) != U1(0))
    return count


@any_order
def _tally_row(weight_C: Any, delta_C: Any, kept_C: Any, sums: Any) -> None:
    """The sums of ``_fold_row`` where what is left of the update is known."""
    moved = weight_abs = delta_abs = delta_sq = kept_dot = kept_sq = F(0)
    for column in range(weight_C.shape[0]):
        delta, kept = delta_C[column], kept_C[column]
        moved += F(1) if kept != F(0) else F(0)
        weight_abs += abs(weight_C[column])
        delta_abs += abs(delta)
        delta_sq += delta * delta
        kept_dot += kept * delta
        kept_sq += kept * kept
    sums[0] += moved
    sums[1] += weight_abs
    sums[2] += delta_abs
    sums[3] += delta_sq
    sums[4] += kept_dot
    sums[5] += kept_sq


@compiled
def _int4_row(scaled_C: Any, codes_C: Any) -> None:
    """Nearest integer within [-7, 7] plus 8; adding and taking 1.5 * 2^23 rounds to even."""
    for column in range(scaled_C.shape[0]):
        value = min(max(scaled_C[column], F(-7)), F(7))
        near = F(value + F(12582912)) - F(12582912)
        codes_C[column] = U1(I4(I4(near) + I4(8)))
