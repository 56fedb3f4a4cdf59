"""What the torch ops share: saying what is wrong with a tensor, and handing tensors to a kernel."""

import torch
from torch import Tensor

from codi_export.ops import library
from codi_export.ops.records import FLOAT16, FLOAT32, Record

REAL = {torch.float32: FLOAT32, torch.float16: FLOAT16}


def expect(op: str, name: str, tensor: Tensor, shape: tuple[int, ...], like: Tensor) -> None:
    """Raise ValueError unless `tensor` has that shape, and the element type and device of `like`."""
    same = tensor.dtype == like.dtype and tensor.device == like.device and tuple(tensor.shape) == tuple(shape)
    if not same:
        expected = f"{like.dtype} {list(shape)} on {like.device}"
        raise ValueError(f"{op}: {name} is {describe(tensor)}: expected {expected}")


def expect_real(op: str, name: str, tensor: Tensor, least_dims: int, shape: str) -> None:
    """Raise ValueError unless `tensor` is float32 or float16 and has at least so many dimensions."""
    if tensor.dtype not in REAL or tensor.dim() < least_dims:
        raise ValueError(f"{op}: {name} is {describe(tensor)}: expected float32 or float16 {shape}")


def describe(tensor: Tensor) -> str:
    """Element type, shape and device, as messages say them."""
    return f"{tensor.dtype} {list(tensor.shape)} on {tensor.device}"


def pointer(tensor: Tensor | None) -> int | None:
    """Where a dense tensor's elements lie."""
    return None if tensor is None else tensor.data_ptr()


def call(record: Record, device: torch.device) -> None:
    """Run a record where its tensors are, on the current stream. Raises ValueError if the kernel refuses."""
    if device.type == "cpu":
        library.call(record)
    elif device.type == "cuda":
        with torch.cuda.device(device):
            library.call(record, "cuda", torch.cuda.current_stream().cuda_stream)
    else:
        raise ValueError(f"{record.op}: tensors are on {device}: expected cpu or cuda")


def dense(*tensors: Tensor | None) -> list[Tensor | None]:
    """The same values, each in the order of its shape."""
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]
