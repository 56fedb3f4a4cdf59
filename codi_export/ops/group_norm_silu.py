"""GroupNorm and SiLU, channels last, of a tensor or two side by side, plus a shift and a residual."""

import ctypes
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from codi_export.ops import functions, library
from codi_export.ops.arguments import REAL, call, dense, expect, expect_real, pointer
from codi_export.ops.functions import codi, zeros
from codi_export.ops.records import GroupNormSilu

OP = "group_norm_silu"


@torch.library.custom_op("codi::group_norm_silu", mutates_args=())
def group_norm_silu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    groups: int,
    epsilon: float = 1e-5,
    silu: bool = True,
    second: Tensor | None = None,
    shift: Tensor | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """silu(norm(v) weight + bias), v = [x ; second] + shift + residual, [B, ..., C].

    x [B, ..., C - C2], second [B, ..., C2], shift [B, C], residual [B, ..., C], weight and bias [C], all float32 or
    all float16; sums are float32. `silu=False` leaves the activation out. No gradient. Raises ValueError for anything
    else.
    """
    out = _empty(x, weight, bias, groups, second, shift, residual)
    given = dict(zip(_INPUTS, dense(x, second, shift, residual, weight, bias), strict=True))
    batch, channels = out.shape[0], out.shape[-1]
    record = GroupNormSilu(
        batch=batch,
        positions=out.numel() // max(batch * channels, 1),
        channels=channels,
        groups=groups,
        second_channels=0 if second is None else second.shape[-1],
        epsilon=epsilon,
        silu=silu,
        type=REAL[x.dtype],
        out=out.data_ptr(),
        **{name: pointer(tensor) for name, tensor in given.items()},
    )
    workspace = torch.empty(_workspace_bytes(record), dtype=torch.uint8, device=x.device)
    record.workspace, record.workspace_bytes = workspace.data_ptr(), workspace.numel()
    call(record, x.device)
    return out


_INPUTS = ("x", "second", "shift", "residual", "weight", "bias")


def _workspace_bytes(record: GroupNormSilu) -> int:
    query = library.load().codi_group_norm_silu_workspace
    query.restype = ctypes.c_int64
    return max(0, int(query(ctypes.byref(record))))


@group_norm_silu.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    groups: int,
    epsilon: float = 1e-5,
    silu: bool = True,
    second: Tensor | None = None,
    shift: Tensor | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    return _empty(x, weight, bias, groups, second, shift, residual)


def _empty(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    groups: int,
    second: Tensor | None,
    shift: Tensor | None,
    residual: Tensor | None,
) -> Tensor:
    """Where the result goes, after a look at the arguments."""
    expect_real(OP, "x", x, 2, "[B, ..., C]")
    channels = x.shape[-1]
    if second is not None:
        expect(OP, "second", second, (*x.shape[:-1], second.shape[-1] if second.dim() else 0), x)
        channels = channels + second.shape[-1]
    if groups < 1 or channels % groups:
        raise ValueError(f"{OP}: {channels} channels in {groups} groups: expected a whole number in each")
    expect(OP, "weight", weight, (channels,), x)
    expect(OP, "bias", bias, (channels,), x)
    if shift is not None:
        expect(OP, "shift", shift, (x.shape[0], channels), x)
    if residual is not None:
        expect(OP, "residual", residual, (*x.shape[:-1], channels), x)
    return x.new_empty((*x.shape[:-1], channels))


def reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    groups: int,
    epsilon: float = 1e-5,
    silu: bool = True,
    second: Tensor | None = None,
    shift: Tensor | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """The same from torch's own operations."""
    v = x if second is None else torch.cat([x, second], dim=-1)
    if shift is not None:
        v = v + shift.reshape(len(x), *[1] * (x.dim() - 2), -1)
    if residual is not None:
        v = v + residual
    y = F.group_norm(v.movedim(-1, 1), groups, weight, bias, epsilon).movedim(1, -1)
    return F.silu(y) if silu else y


_NORM = """
    <domain: "codi", opset_import: ["" : 18]>
    {name} <groups, epsilon> (x, weight, bias, second, shift, residual) => (y) {{
        both = Concat <axis = -1> (x, second)
        shape = Shape (both)
        wide = Cast <to = 1> (both)
        more = Cast <to = 1> (residual)
        sum = Add (wide, more)
        kept = Constant <value_ints = [0, -1]> ()
        channels = Shape <start = -1> (both)
        flat_shape = Concat <axis = 0> (kept, channels)
        flat = Reshape (sum, flat_shape)
        one = Constant <value_ints = [1]> ()
        moved_by = Cast <to = 1> (shift)
        moved_by_rows = Unsqueeze (moved_by, one)
        v = Add (flat, moved_by_rows)
        same = Constant <value_ints = [0, 0]> ()
        rest = Constant <value_ints = [-1]> ()
        count = Constant <value_int: int = @groups> ()
        first_axis = Constant <value_ints = [0]> ()
        count_row = Unsqueeze (count, first_axis)
        grouped_shape = Concat <axis = 0> (same, count_row, rest)
        grouped = Reshape (v, grouped_shape)
        axes = Constant <value_ints = [1, 3]> ()
        mean = ReduceMean (grouped, axes)
        centred = Sub (grouped, mean)
        squared = Mul (centred, centred)
        variance = ReduceMean (squared, axes)
        little = Constant <value_float: float = @epsilon> ()
        safe = Add (variance, little)
        deviation = Sqrt (safe)
        normal = Div (centred, deviation)
        normal_rows = Reshape (normal, flat_shape)
        scale = Cast <to = 1> (weight)
        offset = Cast <to = 1> (bias)
        scaled = Mul (normal_rows, scale)
        affine = Add (scaled, offset)
        {activate}
        shaped = Reshape (activated, shape)
        y = CastLike (shaped, x)
    }}"""
_SILU = "gate = Sigmoid (affine)\n        activated = Mul (affine, gate)"
for _name, _activate in (("GroupNormSilu", _SILU), ("GroupNorm", "activated = Identity (affine)")):
    functions.declare(
        _NORM.format(name=_name, activate=_activate), {"groups": functions.INT, "epsilon": functions.FLOAT}
    )


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """This op for torch's exporter."""
    return {torch.ops.codi.group_norm_silu.default: _translate}


def _translate(
    x: Any,
    weight: Any,
    bias: Any,
    groups: int,
    epsilon: float = 1e-5,
    silu: bool = True,
    second: Any = None,
    shift: Any = None,
    residual: Any = None,
) -> Any:
    op = codi.GroupNormSilu if silu else codi.GroupNorm
    second = functions.nothing_beside(x) if second is None else second
    shift = zeros((1, 1), x) if shift is None else shift
    residual = zeros((), x) if residual is None else residual
    return op(x, weight, bias, second, shift, residual, groups=groups, epsilon=epsilon)
