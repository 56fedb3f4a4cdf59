"""Pictures in and out: uint8 [B, H, W, C] to tensors, enlarged as Pillow's bicubic does, and back."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from codi_export.ops import functions
from codi_export.ops.arguments import REAL, call, describe, expect_real, pointer
from codi_export.ops.functions import FLOAT, INT, codi, standard
from codi_export.ops.records import NCHW, NHWC, ImageToTensor, TensorToImage


@torch.library.custom_op("codi::image_to_tensor", mutates_args=())
def image_to_tensor(
    image: Tensor,
    height: int,
    width: int,
    gain: float = 2.0,
    offset: float = -1.0,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
) -> Tensor:
    """uint8 [B, H, W, C], C 1 to 4 -> gain v / 255 + offset, [B, C, height, width] or [B, height, width, C].

    A larger height or width is reached bicubically (a = -0.5, half pixels, edges renormalised). Raises ValueError,
    for a smaller one too.
    """
    out = _empty_tensor(image, height, width, dtype, channels_last)
    image = image.contiguous()
    batch, rows, columns, channels = image.shape
    sizes = {"batch": batch, "height": rows, "width": columns, "channels": channels}
    target = {"out_height": height, "out_width": width, "gain": gain, "offset": offset}
    kinds = {"layout": NHWC if channels_last else NCHW, "type": REAL[dtype]}
    call(ImageToTensor(**sizes, **target, **kinds, image=pointer(image), out=pointer(out)), image.device)
    return out


@image_to_tensor.register_fake
def _(
    image: Tensor,
    height: int,
    width: int,
    gain: float = 2.0,
    offset: float = -1.0,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
) -> Tensor:
    return _empty_tensor(image, height, width, dtype, channels_last)


def _empty_tensor(image: Tensor, height: int, width: int, dtype: torch.dtype, channels_last: bool) -> Tensor:
    if image.dtype != torch.uint8 or image.dim() != 4 or image.shape[3] not in (1, 2, 3, 4):
        raise ValueError(f"image_to_tensor: image is {describe(image)}: expected uint8 [B, H, W, C] with C 1 to 4")
    if dtype not in REAL:
        raise ValueError(f"image_to_tensor: dtype is {dtype}: expected float32 or float16")
    batch, rows, columns, channels = image.shape
    if height < rows or width < columns:
        raise ValueError(f"image_to_tensor: {height}x{width} from {describe(image)}: expected no smaller picture")
    shape = (batch, height, width, channels) if channels_last else (batch, channels, height, width)
    return image.new_empty(shape, dtype=dtype)


@torch.library.custom_op("codi::tensor_to_image", mutates_args=())
def tensor_to_image(tensor: Tensor, channels_last: bool = False) -> Tensor:
    """[B, C, H, W] (or [B, H, W, C]) in [-1, 1], C 1 to 4 -> uint8 [B, H, W, C]; beyond is limited, NaN becomes 0.

    float32 or float16. Raises ValueError.
    """
    out = _empty_image(tensor, channels_last)
    tensor = tensor.contiguous()
    batch, rows, columns, channels = out.shape
    sizes = {"batch": batch, "height": rows, "width": columns, "channels": channels}
    kinds = {"layout": NHWC if channels_last else NCHW, "type": REAL[tensor.dtype]}
    call(TensorToImage(**sizes, **kinds, tensor=pointer(tensor), image=pointer(out)), tensor.device)
    return out


@tensor_to_image.register_fake
def _(tensor: Tensor, channels_last: bool = False) -> Tensor:
    return _empty_image(tensor, channels_last)


def _empty_image(tensor: Tensor, channels_last: bool) -> Tensor:
    expect_real("tensor_to_image", "tensor", tensor, 4, "[B, C, H, W]")
    axis = 3 if channels_last else 1
    if tensor.dim() != 4 or tensor.shape[axis] not in (1, 2, 3, 4):
        raise ValueError(f"tensor_to_image: tensor is {describe(tensor)}: expected four sizes, and 1 to 4 channels")
    batch, height, width, channels = tensor.shape if channels_last else tensor.movedim(1, 3).shape
    return tensor.new_empty((batch, height, width, channels), dtype=torch.uint8)


functions.declare(
    """
    <domain: "codi", opset_import: ["" : 18]>
    BicubicMatrix <out> (size) => (matrix) {
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        first_axis = Constant <value_ints = [0]> ()
        last_axis = Constant <value_ints = [1]> ()
        half = Constant <value = double {0.5}> ()
        out_size = Constant <value_int: int = @out> ()
        out_range = Range (zero, out_size, one)
        in_range = Range (zero, size, one)
        outs = Cast <to = 11> (out_range)
        ins = Cast <to = 11> (in_range)
        out_real = Cast <to = 11> (out_size)
        in_real = Cast <to = 11> (size)
        ratio = Div (in_real, out_real)
        out_centres = Add (outs, half)
        centres = Mul (out_centres, ratio)
        in_centres = Add (ins, half)
        centre_column = Unsqueeze (centres, last_axis)
        in_row = Unsqueeze (in_centres, first_axis)
        signed = Sub (in_row, centre_column)
        d = Abs (signed)
        c15 = Constant <value = double {1.5}> ()
        c25 = Constant <value = double {2.5}> ()
        c1 = Constant <value = double {1.0}> ()
        c05 = Constant <value = double {-0.5}> ()
        c4 = Constant <value = double {4.0}> ()
        c2 = Constant <value = double {2.0}> ()
        c0 = Constant <value = double {0.0}> ()
        d2 = Mul (d, d)
        near3 = Mul (c15, d)
        near2 = Sub (near3, c25)
        near1 = Mul (near2, d2)
        near = Add (near1, c1)
        far4 = Mul (c05, d)
        far3 = Add (far4, c25)
        far2 = Mul (far3, d)
        far1 = Sub (far2, c4)
        far0 = Mul (far1, d)
        far = Add (far0, c2)
        is_near = Less (d, c1)
        is_far = Less (d, c2)
        beyond = Where (is_far, far, c0)
        weight = Where (is_near, near, beyond)
        sum = ReduceSum (weight, last_axis)
        exact = Div (weight, sum)
        matrix = Cast <to = 1> (exact)
    }""",
    {"out": INT},
    {"size": "tensor(int64)", "matrix": "tensor(float)"},
)
functions.declare(
    """
    <domain: "codi", opset_import: ["" : 18, "codi" : 1]>
    ImageToTensor <height, width, gain, offset> (image) => (tensor) {
        levels = Cast <to = 1> (image)
        planes = Transpose <perm = [0, 3, 1, 2]> (levels)
        most = Constant <value_float = 255.0> ()
        unit = Div (planes, most)
        rows_row = Shape <start = 1, end = 2> (image)
        columns_row = Shape <start = 2, end = 3> (image)
        rows = Squeeze (rows_row)
        columns = Squeeze (columns_row)
        down = codi.BicubicMatrix <out: int = @height> (rows)
        across = codi.BicubicMatrix <out: int = @width> (columns)
        across_transposed = Transpose <perm = [1, 0]> (across)
        high = MatMul (down, unit)
        large = MatMul (high, across_transposed)
        times = Constant <value_float: float = @gain> ()
        plus = Constant <value_float: float = @offset> ()
        scaled = Mul (large, times)
        tensor = Add (scaled, plus)
    }""",
    {"height": INT, "width": INT, "gain": FLOAT, "offset": FLOAT},
    {"image": "tensor(uint8)", "tensor": "tensor(float)"},
    needs=("BicubicMatrix",),
)
functions.declare(
    """
    <domain: "codi", opset_import: ["" : 18]>
    TensorToImage (tensor) => (image) {
        wide = Cast <to = 1> (tensor)
        low = Constant <value_float = -1.0> ()
        one = Constant <value_float = 1.0> ()
        limited = Clip (wide, low, one)
        positive = Add (limited, one)
        half_range = Constant <value_float = 127.5> ()
        scaled = Mul (positive, half_range)
        half = Constant <value_float = 0.5> ()
        raised = Add (scaled, half)
        floor = Floor (raised)
        levels = Cast <to = 2> (floor)
        image = Transpose <perm = [0, 2, 3, 1]> (levels)
    }""",
    types={"image": "tensor(uint8)"},
)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """These ops for torch's exporter."""
    return {
        torch.ops.codi.image_to_tensor.default: _translate_to_tensor,
        torch.ops.codi.tensor_to_image.default: _translate_to_image,
    }


def _translate_to_tensor(
    image: Any,
    height: int,
    width: int,
    gain: float = 2.0,
    offset: float = -1.0,
    dtype: int = 1,
    channels_last: bool = False,
) -> Any:
    out = codi.ImageToTensor(image, height=height, width=width, gain=gain, offset=offset)
    out = out if dtype == 1 else standard.Cast(out, to=dtype)
    return standard.Transpose(out, perm=[0, 2, 3, 1]) if channels_last else out


def _translate_to_image(tensor: Any, channels_last: bool = False) -> Any:
    return codi.TensorToImage(standard.Transpose(tensor, perm=[0, 3, 1, 2]) if channels_last else tensor)
