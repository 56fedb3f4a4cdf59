"""torch's and ONNX Runtime's faces of image conversion."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from codi_export.model.resize import bicubic_matrix, resize
from codi_export.ops.image_io import image_to_tensor, tensor_to_image
from tests.ops import faces

both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
both_layouts = pytest.mark.parametrize("channels_last", [False, True])
every_size = pytest.mark.parametrize("size", [(5, 7), (20, 28), (12, 7)], ids=str)

WEIGHTS = 4  # roundings: the reference forms its weights in float64, the kernel in float32


def picture() -> Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (2, 5, 7, 3), dtype=torch.uint8)


def reference(image: Tensor, size: tuple[int, int], dtype: torch.dtype, channels_last: bool) -> Tensor:
    """What `model.fuse` does before the first network: bicubic enlargement in [0, 1], then [-1, 1]."""
    rows, columns = (bicubic_matrix(have, want).to(dtype) for have, want in zip(image.shape[1:3], size, strict=True))
    large = resize(image.to(dtype).permute(0, 3, 1, 2) / 255, rows, columns) * 2 - 1
    return large.permute(0, 2, 3, 1) if channels_last else large


class Module(nn.Module):
    def __init__(self, size: tuple[int, int], dtype: torch.dtype, channels_last: bool) -> None:
        super().__init__()
        self.size, self.dtype, self.channels_last = size, dtype, channels_last

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        tensor: Tensor = image_to_tensor(image, *self.size, 2.0, -1.0, self.dtype, self.channels_last)
        return tensor, tensor_to_image(tensor, self.channels_last)


@both_types
@both_layouts
@every_size
def test_torch(size: tuple[int, int], channels_last: bool, dtype: torch.dtype) -> None:
    ours = image_to_tensor(picture(), *size, dtype=dtype, channels_last=channels_last)
    exact = reference(picture(), size, torch.float64, channels_last)
    faces.assert_as_good_as_torch(ours, reference(picture(), size, dtype, channels_last), exact, WEIGHTS)


def test_without_enlargement_it_is_torch_s_to_the_bit() -> None:
    expected = picture().float().permute(0, 3, 1, 2) / 255 * 2 - 1
    assert torch.equal(image_to_tensor(picture(), 5, 7), expected)


@both_types
@both_layouts
def test_back_is_what_fuse_computes(channels_last: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    tensor = (torch.randn(2, 3, 9, 8) * 0.8).to(dtype)
    levels = ((tensor.float().clamp(-1, 1) + 1) * 127.5 + 0.5).floor().clamp(0, 255)
    expected = levels.permute(0, 2, 3, 1).to(torch.uint8)
    given = tensor.permute(0, 2, 3, 1) if channels_last else tensor
    assert torch.equal(tensor_to_image(given, channels_last), expected)


@both_layouts
def test_opcheck(channels_last: bool) -> None:
    torch.library.opcheck(image_to_tensor, (picture(), 10, 7, 1.0, 0.0, torch.float16, channels_last))
    torch.library.opcheck(tensor_to_image, (torch.randn(1, 3, 4, 3), channels_last))


@pytest.mark.parametrize(("channels_last", "dtype"), [(False, torch.float32), (True, torch.float16)])
def test_onnx(channels_last: bool, dtype: torch.dtype, onnxruntime_library: Path, tmp_path: Path) -> None:
    size = (20, 28)
    model = faces.export(Module(size, dtype, channels_last), [picture()])
    exact = reference(picture(), size, torch.float64, channels_last)
    theirs = reference(picture(), size, dtype, channels_last)
    for library in (None, onnxruntime_library):
        tensor, image = faces.run(model, [picture()], library, tmp_path)
        faces.assert_as_good_as_torch(tensor, theirs, exact, WEIGHTS)
        assert (image.int() - tensor_to_image(tensor, channels_last).int()).abs().max() == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: image_to_tensor(picture().float(), 5, 7),
            r"image is torch.float32 \[2, 5, 7, 3\] on cpu: expected uint8",
        ),
        (lambda: image_to_tensor(picture()[0], 5, 7), r"image is torch.uint8 \[5, 7, 3\]"),
        (lambda: image_to_tensor(picture().repeat(1, 1, 1, 2), 5, 7), "C 1 to 4"),
        (lambda: image_to_tensor(picture(), 4, 7), r"4x7 from torch.uint8 \[2, 5, 7, 3\] on cpu: expected no smaller"),
        (lambda: image_to_tensor(picture(), 5, 7, dtype=torch.float64), "dtype is torch.float64"),
        (lambda: image_to_tensor(picture(), 40000, 7), "at most 32767"),
        (lambda: tensor_to_image(torch.zeros(1, 5, 4, 3)), r"tensor is torch.float32 \[1, 5, 4, 3\]"),
        (lambda: tensor_to_image(torch.zeros(3, 4, 3)), r"tensor is torch.float32 \[3, 4, 3\]"),
        (lambda: tensor_to_image(picture()), r"tensor is torch.uint8 .*: expected float32 or float16"),
    ],
)
def test_what_is_wrong_is_said(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
