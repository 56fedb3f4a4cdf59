"""How weights lie in a bundle: as float16. What a graph is compared with computes in float32 with what is stored."""

import contextlib
import copy
import functools
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn

from codi_export.errors import CodiError, ErrorCode

Net = TypeVar("Net", bound=nn.Module)


def is_exact(module: nn.Module) -> bool:
    """Whether storing the weights changes none of them, as when they come from a float16 file."""
    wide = (tensor for _, tensor in _weights(module) if tensor.dtype != torch.float16)
    return all(torch.equal(tensor, tensor.half().float()) for tensor in wide)


@torch.no_grad()
def round_to_stored(module: nn.Module) -> None:
    """Make every weight what it will be once it was stored, float16, one after the other. Raises CodiError (bad-model)
    for one that float16 cannot hold, with its name."""
    for name, tensor in _weights(module):
        stored = tensor.half()  # itself if it is float16 already
        if not stored.isfinite().all():
            raise CodiError(
                ErrorCode.BAD_MODEL,
                f"weight '{name}' holds {tensor.abs().max():.3g}, too much for float16 (65504), or no number at all",
                "the file may be damaged: such weights make no picture in half precision anywhere",
            )
        tensor.data = stored


@contextlib.contextmanager
def computing_in_float32(module: nn.Module) -> Iterator[None]:
    """Inside, `module` computes in float32 whatever its weights are: each layer's are widened for as long as it runs,
    so that no second copy of a network is ever in memory."""
    handles = []
    for layer in _layers(module):
        kept: list[Tensor] = []
        handles.append(layer.register_forward_pre_hook(functools.partial(_widen, kept)))
        handles.append(layer.register_forward_hook(functools.partial(_restore, kept), always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def skeleton(module: Net) -> Net:
    """A copy without weights, to be traced: each is float32, of its size, and one number in memory. Constants that are
    not saved with the module are its own."""
    bare: dict[int, object] = {}
    for tensor in module.state_dict(keep_vars=True).values():
        kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
        number = torch.zeros((), dtype=kind).expand(tensor.shape)
        bare[id(tensor)] = nn.Parameter(number, requires_grad=False) if isinstance(tensor, nn.Parameter) else number
    return copy.deepcopy(module, bare)


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """What holds weights itself; and a VAE's two halves as a whole, which look at their weights' type to choose that of
    their activations."""
    for name, child in module.named_children():
        if name in ("encoder", "decoder"):
            yield child
        else:
            yield from _layers(child)
    if module._parameters:
        yield module


def _widen(kept: list[Tensor], layer: nn.Module, _: object) -> None:
    for tensor in layer.parameters(recurse=not layer._parameters):
        kept.append(tensor.data)
        tensor.data = tensor.data.float()


def _restore(kept: list[Tensor], layer: nn.Module, *_: object) -> None:
    for tensor, data in zip(layer.parameters(recurse=not layer._parameters), kept, strict=True):
        tensor.data = data
    kept.clear()


def _weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    named = module.state_dict(keep_vars=True).items()
    return ((name, tensor) for name, tensor in named if tensor.is_floating_point())
