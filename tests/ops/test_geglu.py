"""torch's and ONNX Runtime's faces of GEGLU."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from codi_export.ops.geglu import geglu, reference
from tests.ops import faces

both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
with_bias = pytest.mark.parametrize("biased", [True, False])


def arguments(biased: bool, dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 7, 40).to(dtype), torch.randn(40).to(dtype)][: 1 + biased]


class Module(nn.Module):
    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        result: Tensor = geglu(x, bias)
        return result


@both_types
@with_bias
def test_torch(biased: bool, dtype: torch.dtype) -> None:
    given = arguments(biased, dtype)
    faces.assert_as_good_as_torch(geglu(*given), reference(*given), reference(*faces.double(given)))


@with_bias
def test_opcheck(biased: bool) -> None:
    torch.library.opcheck(geglu, tuple(arguments(biased, torch.float32)))


@pytest.mark.parametrize(("biased", "dtype"), [(True, torch.float16), (False, torch.float32)])
def test_onnx(biased: bool, dtype: torch.dtype, onnxruntime_library: Path, tmp_path: Path) -> None:
    given = arguments(biased, dtype)
    model = faces.export(Module(), given)
    for library in (None, onnxruntime_library):
        ours = faces.run(model, given, library, tmp_path)[0]
        faces.assert_as_good_as_torch(ours, reference(*given), reference(*faces.double(given)))


@pytest.mark.parametrize(
    ("x", "bias", "words"),
    [
        (torch.zeros(3, 5), None, r"x is torch.float32 \[3, 5\] on cpu: expected an even last size"),
        (
            torch.zeros(3, 4, dtype=torch.bfloat16),
            None,
            r"x is torch.bfloat16 \[3, 4\] on cpu: expected float32 or float16",
        ),
        (torch.zeros(()), None, r"x is torch.float32 \[\]"),
        (torch.zeros(3, 4), torch.zeros(2), r"bias is torch.float32 \[2\] on cpu: expected torch.float32 \[4\]"),
    ],
)
def test_what_is_wrong_is_said(x: Tensor, bias: Tensor | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        geglu(x, bias)
