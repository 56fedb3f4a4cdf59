"""A small network that has every kind of layer, beside the same network written in torch."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from codi_export.errors import CodiError, ErrorCode
from distill.rivals import ncnn

PARAM = """7767517
10 13
Input          input  0 1 data
Convolution    first  1 1 data a 0=5 1=3 4=1 5=1 6=135 9=2 -23310=1,2.000000e-01
Split          split  1 3 a a0 a1 a2
PReLU          slopes 1 1 a0 b 0=5
Eltwise        mix    2 1 b a1 c 0=1 -23301=2,2.000000e-01,1.000000e+00
Concat         both   2 1 c a2 d
Convolution    last   1 1 d e 0=12 1=1 4=0 5=1 6=120
PixelShuffle   wide   1 1 e f 0=2
Interp         large  1 1 data g 0=1 1=2.000000e+00 2=2.000000e+00
BinaryOp       sum    2 1 f g output
"""


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(0, 0.3, shape).astype("<f4")


FIRST, LAST = floats(5, 3, 3, 3).astype("<f2"), floats(12, 10, 1, 1)
FIRST_BIAS, SLOPES, LAST_BIAS = floats(5), floats(5), floats(12)
HALF, FLOAT = (0x01306B47).to_bytes(4, "little"), bytes(4)
# 135 halves are 270 bytes, and begin again at a whole word
BIN = b"".join(
    [
        HALF,
        FIRST.tobytes(),
        bytes(2),
        FIRST_BIAS.tobytes(),
        SLOPES.tobytes(),
        FLOAT,
        LAST.tobytes(),
        LAST_BIAS.tobytes(),
    ]
)


def by_hand(x: torch.Tensor) -> torch.Tensor:
    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array.astype(np.float32))

    a = F.leaky_relu(F.conv2d(x, tensor(FIRST), tensor(FIRST_BIAS), padding=1), 0.2)
    c = 0.2 * F.prelu(a, tensor(SLOPES)) + a
    e = F.conv2d(torch.cat([c, a], dim=1), tensor(LAST), tensor(LAST_BIAS))
    return F.pixel_shuffle(e, 2) + x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def read(param: str = PARAM, data: bytes = BIN) -> torch.nn.Module:
    return ncnn.read({"x4.param": param.encode(), "x4.bin": data})


def test_reader_gives_the_numbers_of_the_same_network_in_torch() -> None:
    x = torch.rand(2, 3, 6, 9, generator=torch.Generator().manual_seed(0))
    # float32 sums in another order
    torch.testing.assert_close(read()(x), by_hand(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("7767517", "7767518", "the head"),
        ("10 13", "11 13", "the head"),
        ("PReLU", "Sigmoid", "Sigmoid"),
        ("0=5 1=3", "0=5 2=2 1=3", "first"),
        ("9=2", "9=3", "first"),
        ("2.000000e-01\nSplit", "1.000000e-01\nSplit", "first"),
        ("0=1 -23301", "0=2 -23301", "mix"),
        ("2 1 f g output", "2 1 f g output 0=2", "sum"),
        ("0=1 1=2", "0=2 1=2", "large"),
        ("2 1 c a2 d", "2 1 c a2 d 0=1", "both"),
        ("g output", "g out", "output"),
        ("1 1 e f 0=2", "1 1 e f 0=2 1=1", "wide"),
    ],
)
def test_anything_else_is_refused(old: str, new: str, said: str) -> None:
    assert PARAM.count(old) == 1
    with pytest.raises(CodiError, match=said) as caught:
        read(PARAM.replace(old, new))
    assert caught.value.code is ErrorCode.BAD_MODEL


@pytest.mark.parametrize("data", [BIN + bytes(4), b"\1" + BIN[1:]])
def test_other_weights_are_refused(data: bytes) -> None:
    with pytest.raises(CodiError, match="weights"):
        read(data=data)
