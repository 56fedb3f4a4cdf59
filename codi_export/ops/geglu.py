"""GEGLU (arXiv 2002.05202): value times gelu(gate), the halves of a row."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from codi_export.ops import functions
from codi_export.ops.arguments import REAL, call, dense, describe, expect, expect_real, pointer
from codi_export.ops.functions import codi, zeros
from codi_export.ops.records import Geglu

OP = "geglu"


@torch.library.custom_op("codi::geglu", mutates_args=())
def geglu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [..., 2 D] -> [..., D]: the first half of x + bias times the exact gelu of the second. bias [2 D].

    float32 or float16, both alike; arithmetic is float32. No gradient. Raises ValueError for anything else.
    """
    out = _empty(x, bias)
    x, bias = dense(x, bias)  # type: ignore[assignment]
    rows = x.numel() // max(x.shape[-1], 1)
    sizes = {"rows": rows, "columns": out.shape[-1], "type": REAL[x.dtype]}
    call(Geglu(**sizes, x=pointer(x), bias=pointer(bias), out=pointer(out)), x.device)
    return out


@geglu.register_fake
def _(x: Tensor, bias: Tensor | None = None) -> Tensor:
    return _empty(x, bias)


def _empty(x: Tensor, bias: Tensor | None) -> Tensor:
    expect_real(OP, "x", x, 1, "[..., 2 D]")
    if x.shape[-1] % 2:
        raise ValueError(f"{OP}: x is {describe(x)}: expected an even last size, value and gate side by side")
    if bias is not None:
        expect(OP, "bias", bias, (x.shape[-1],), x)
    return x.new_empty((*x.shape[:-1], x.shape[-1] // 2))


def reference(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same from torch's own operations."""
    value, gate = (x if bias is None else x + bias).chunk(2, dim=-1)
    return value * F.gelu(gate)


functions.declare("""
    <domain: "codi", opset_import: ["" : 18]>
    Geglu (x, bias) => (y) {
        wide = Cast <to = 1> (x)
        added = Cast <to = 1> (bias)
        biased = Add (wide, added)
        value, gate = Split <axis = -1, num_outputs = 2> (biased)
        root = Constant <value_float = 1.4142135> ()
        scaled = Div (gate, root)
        error = Erf (scaled)
        one = Constant <value_float = 1.0> ()
        twice = Add (error, one)
        half = Constant <value_float = 0.5> ()
        probability = Mul (twice, half)
        gelu = Mul (gate, probability)
        product = Mul (value, gelu)
        y = CastLike (product, x)
    }""")


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """This op for torch's exporter."""
    return {torch.ops.codi.geglu.default: _translate}


def _translate(x: Any, bias: Any = None) -> Any:
    return codi.Geglu(x, zeros((), x) if bias is None else bias)
