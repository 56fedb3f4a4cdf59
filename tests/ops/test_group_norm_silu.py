"""torch's and ONNX Runtime's faces of GroupNorm + SiLU."""

from pathlib import Path
from typing import Any

import onnx.parser
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from codi_export.ops.group_norm_silu import group_norm_silu, reference
from tests.ops import faces

VARIANTS = ["", "second", "shift", "residual", "second shift residual"]
both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)


def arguments(
    variant: str, dtype: torch.dtype, shape: tuple[int, ...] = (2, 3, 5)
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Positional x, weight, bias; the optional inputs by name."""
    torch.manual_seed(0)
    channels = 24
    own = 16 if "second" in variant else channels
    optional = {"second": (*shape, channels - own), "shift": (shape[0], channels), "residual": (*shape, channels)}
    first = [torch.randn(*shape, own), torch.randn(channels), torch.randn(channels)]
    return [tensor.to(dtype) for tensor in first], {
        name: torch.randn(size).to(dtype) for name, size in optional.items() if name in variant
    }


class Module(nn.Module):
    def __init__(self, names: list[str], silu: bool) -> None:
        super().__init__()
        self.names, self.silu = names, silu

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor, *optional: Tensor) -> Tensor:
        named: dict[str, Any] = dict(zip(self.names, optional, strict=True))
        result: Tensor = group_norm_silu(x, weight, bias, 4, 1e-5, self.silu, **named)
        return result


@both_types
@pytest.mark.parametrize("variant", VARIANTS)
def test_torch(variant: str, dtype: torch.dtype) -> None:
    given, named = arguments(variant, dtype)
    ours = group_norm_silu(*given, 4, **named)
    exact = reference(*faces.double(given), 4, **{name: tensor.double() for name, tensor in named.items()})
    faces.assert_as_good_as_torch(ours, reference(*given, 4, **named), exact)


@pytest.mark.parametrize("variant", ["", VARIANTS[-1]])
def test_opcheck(variant: str) -> None:
    given, named = arguments(variant, torch.float32)
    torch.library.opcheck(group_norm_silu, (*given, 4), named)


@pytest.mark.parametrize(
    ("variant", "silu", "dtype"),
    [("", False, torch.float32), ("second", True, torch.float16), (VARIANTS[-1], True, torch.float32)],
)
def test_onnx(variant: str, silu: bool, dtype: torch.dtype, onnxruntime_library: Path, tmp_path: Path) -> None:
    given, named = arguments(variant, dtype)
    inputs = [*given, *named.values()]
    model = faces.export(Module(list(named), silu), inputs)
    exact = reference(*faces.double(given), 4, silu=silu, **{name: tensor.double() for name, tensor in named.items()})
    theirs = reference(*given, 4, silu=silu, **named)
    for library in (None, onnxruntime_library):
        faces.assert_as_good_as_torch(faces.run(model, inputs, library, tmp_path)[0], theirs, exact)


def test_channels_last_pictures_need_no_copy() -> None:
    """[B, C, H, W] in channels_last memory, permuted, is what the op takes."""
    picture = torch.randn(1, 24, 6, 6).to(memory_format=torch.channels_last)
    assert picture.permute(0, 2, 3, 1).is_contiguous()
    weight, bias = torch.randn(24), torch.randn(24)
    ours = group_norm_silu(picture.permute(0, 2, 3, 1), weight, bias, 4).permute(0, 3, 1, 2)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours, nn.functional.silu(nn.functional.group_norm(picture, 4, weight, bias)))


def test_tensors_in_another_order_are_taken() -> None:
    (x, weight, bias), _ = arguments("", torch.float32)
    torch.testing.assert_close(
        group_norm_silu(x.mT.contiguous().mT, weight, bias, 4), group_norm_silu(x, weight, bias, 4)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": torch.zeros(2, 24).double()}, r"x is torch.float64 \[2, 24\] on cpu: expected float32 or float16 \[B, "),
        ({"weight": torch.zeros(23)}, r"weight is torch.float32 \[23\] on cpu: expected torch.float32 \[24\] on cpu"),
        ({"bias": torch.zeros(24).half()}, r"bias is torch.float16 \[24\] on cpu: expected torch.float32 \[24\]"),
        ({"groups": 5}, "24 channels in 5 groups"),
        ({"groups": 0}, "24 channels in 0 groups"),
        ({"second": torch.zeros(2, 3, 4, 8)}, r"second is torch.float32 \[2, 3, 4, 8\]"),
        ({"shift": torch.zeros(24)}, r"shift is torch.float32 \[24\] on cpu: expected torch.float32 \[2, 24\]"),
        ({"residual": torch.zeros(2, 3, 24)}, r"residual is .*: expected torch.float32 \[2, 3, 5, 24\]"),
        ({"epsilon": -1.0}, "epsilon is -1"),
        ({"weight": torch.zeros(24, device="meta")}, "weight is .* on meta: expected .* on cpu"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(change: dict[str, Any], words: str) -> None:
    (x, weight, bias), _ = arguments("", torch.float32)
    with pytest.raises(ValueError, match=words):
        group_norm_silu(**{"x": x, "weight": weight, "bias": bias, "groups": 4} | change)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("shift", (3, 24), r"GroupNormSilu: shift is \[3, 24\]: expected \[2, 24\], or a single 0"),
        ("shift", (1, 1), r"GroupNormSilu: shift is \[1, 1\]: expected \[2, 24\], or a single 0"),
        ("second", (2, 3, 4, 8), r"second is \[2, 3, 4, 8\] beside x \[2, 3, 5, 16\]"),
        ("weight", (23,), r"weight is \[23\] and bias \[24\]: expected \[24\]"),
    ],
)
def test_onnxruntime_says_what_is_wrong(
    name: str, shape: tuple[int, ...], words: str, onnxruntime_library: Path
) -> None:
    sizes = {"x": (2, 3, 5, 16), "weight": (24,), "bias": (24,), "second": (2, 3, 5, 8)}
    sizes |= {"shift": (2, 24), "residual": (2, 3, 5, 24)}
    inputs = ", ".join(f"float[{','.join(f'{key}{i}' for i in range(len(size)))}] {key}" for key, size in sizes.items())
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18, "codi" : 1]> g ({inputs}) => (float[a,b,c,d] y)
        {{ y = codi.GroupNormSilu <groups = 4, epsilon = 1e-5> ({", ".join(sizes)}) }}"""
    )
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(onnxruntime_library))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    with pytest.raises(Exception, match=words):
        session.run(None, {key: torch.ones(size).numpy() for key, size in (sizes | {name: shape}).items()})
