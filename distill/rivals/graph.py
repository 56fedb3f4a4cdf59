"""A network that a file describes as a list of layers, run by torch: what the readers of formats make."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from codi_export.errors import CodiError, ErrorCode


def unexpected(what: str) -> CodiError:
    """A reader knows the layers of the networks that it was written for, and guesses at nothing else."""
    return CodiError(
        ErrorCode.BAD_MODEL, f"the network's file has {what}", "only the networks of `evaluate --rival` can be read"
    )


@dataclass(frozen=True, slots=True)
class Node:
    """A layer: the names of what it takes and of what it makes."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]


class Graph(nn.Module):
    """Runs nodes in their order. A value is let go after its last use, as in the runtimes these files are made for."""

    def __init__(self, source: str, nodes: Sequence[Node], output: str) -> None:
        super().__init__()
        known = {source}
        for node in nodes:
            if not known.issuperset(node.inputs):
                raise unexpected(f"layer {node.name} before its inputs {', '.join(node.inputs)}")
            known.add(node.name)
        if output not in known:
            raise unexpected(f"no layer that makes its output {output}")
        last = {name: i for i, node in enumerate(nodes) for name in node.inputs}
        self.source, self.output = source, output
        self.layers = nn.ModuleList(node.module for node in nodes)
        self.wires = [
            (node.name, node.inputs, [name for name in set(node.inputs) if last[name] == i and name != output])
            for i, node in enumerate(nodes)
        ]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {self.source: x}
        for layer, (name, inputs, spent) in zip(self.layers, self.wires, strict=True):
            values[name] = layer(*(values[key] for key in inputs))
            for key in spent:
                del values[key]
        return values[self.output]


class Sum(nn.Module):
    """A weighted sum; a weight for each input, or plainly all of them."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        weights = self.weights or (1.0,) * len(parts)
        terms = [x if w == 1 else w * x for w, x in zip(weights, parts, strict=True)]
        return functools.reduce(torch.add, terms)


class Concatenate(nn.Module):
    """Along channels."""

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        return torch.cat(parts, dim=1)


class DepthToSpace(nn.Module):
    """TensorFlow's pixel shuffle: of a channel's index, the place in the block is the slow part; in torch the fast."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places, colours = self.scale**2, x.shape[1] // self.scale**2
        swapped = torch.unflatten(x, 1, (places, colours)).transpose(1, 2).flatten(1, 2)
        return nn.functional.pixel_shuffle(swapped, self.scale)


def same_convolution(weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    """A convolution that keeps the size, from its weights.  # [out, in, k, k], [out]"""
    channels_out, channels_in, kernel, width = weight.shape
    if kernel != width or kernel % 2 == 0:
        raise unexpected(f"a convolution of {kernel} x {width}, expected odd and square")
    layer = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer
