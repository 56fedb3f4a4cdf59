"""Exponential moving average of a module's parameters and buffers."""

import copy
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def saved_decay(step: int) -> float:
    """The decay for weights that are kept: min(.9995, (1 + k) / (10 + k)), so that early steps are forgotten."""
    return min(0.9995, (1 + step) / (10 + step))


class Ema(Generic[M]):
    """`average` follows `source`: average <- g average + (1 - g) source, g = decay(step). g = 0 copies, 1 freezes."""

    def __init__(self, source: M, decay: Callable[[int], float]) -> None:
        self.average = copy.deepcopy(source).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, source: M, step: int) -> None:
        weight = 1.0 - self.decay(step)
        state = dict(_tensors(source))
        for name, value in _tensors(self.average):
            if value.is_floating_point():
                value.lerp_(state[name].to(value.dtype), weight)
            else:
                value.copy_(state[name])


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers as they are: asked for a state dict, a sharded module would split itself again."""
    yield from module.named_parameters()
    yield from module.named_buffers()
